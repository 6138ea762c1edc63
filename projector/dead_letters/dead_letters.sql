-- name: keep_dead_letters
-- A message that is read again is the same dead letter: a replay adds none. The same message has the same place, time,
-- topic id and bytes; at the same place of a topic that was created again, or of a log that was cut, stands another. One
-- kept before these were has neither id nor digest, and is known by its bytes.
INSERT INTO dead_letters (topic, partition, source_offset, timestamp_ms, topic_id, digest, reason, detail, key, value,
                          headers)
SELECT %(topic)s::text, %(partition)s::integer, %(offset)s::bigint, %(timestamp_ms)s::bigint, %(topic_id)s::text,
       %(digest)s::bytea, %(reason)s::text, %(detail)s::text, %(key)s::bytea, %(value)s::bytea, %(headers)s::jsonb
WHERE NOT EXISTS (
    SELECT FROM dead_letters d
    WHERE d.topic = %(topic)s AND d.partition = %(partition)s AND d.source_offset = %(offset)s
      AND d.timestamp_ms = %(timestamp_ms)s AND d.topic_id IS NULL AND d.digest IS NULL
      AND d.key IS NOT DISTINCT FROM %(key)s::bytea AND d.value IS NOT DISTINCT FROM %(value)s::bytea
      AND d.headers = %(headers)s::jsonb
)
ON CONFLICT (topic, partition, source_offset, timestamp_ms, topic_id, digest) DO NOTHING;

-- name: count_open_before
-- What stands open right before these positions, by reason: how many lie within the share's depth, and how many end the
-- partition, with no other message between them and the position. Those of another topic of the same name stand aside;
-- of two at one offset, as in a log that was cut and has grown again, the latter counts.
WITH given AS (
    SELECT *
    FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[], %(topic_ids)s::text[])
         AS g (topic, partition, next_offset, topic_id)
),
latest AS (
    SELECT DISTINCT ON (d.topic, d.partition, d.source_offset)
           d.topic, d.partition, d.reason, g.next_offset - d.source_offset AS back
    FROM given g
    JOIN dead_letters d ON d.topic = g.topic AND d.partition = g.partition
     AND d.source_offset < g.next_offset AND d.source_offset >= g.next_offset - %(run_depth)s
    WHERE d.state = 'open' AND (d.topic_id IS NULL OR d.topic_id IS NOT DISTINCT FROM g.topic_id)
    ORDER BY d.topic, d.partition, d.source_offset, d.dead_letter_id DESC
),
recent AS (
    SELECT reason, back, row_number() OVER (PARTITION BY topic, partition ORDER BY back) AS nth FROM latest
)
SELECT reason, count(*) FILTER (WHERE back <= %(share_depth)s), count(*) FILTER (WHERE back = nth)
FROM recent
GROUP BY reason
ORDER BY reason;

-- name: count_matching
-- How many there are of a selection, of which a list may show the latest.
SELECT count(*)
FROM dead_letters
WHERE (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(topic)s::text IS NULL OR topic = %(topic)s);

-- name: list_matching
-- The latest of a selection, without their bytes.
SELECT dead_letter_id, topic, partition, source_offset AS "offset", reason, detail, refused_at, state, attempts,
       tried_at, tried_by, closed_at, closed_by, closed_why
FROM dead_letters
WHERE (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(topic)s::text IS NULL OR topic = %(topic)s)
ORDER BY dead_letter_id DESC
LIMIT %(limit)s;

-- name: read_one
-- Everything that is kept of one message.
SELECT dead_letter_id, topic, partition, source_offset AS "offset", timestamp_ms, topic_id, reason, detail, refused_at,
       state, attempts, tried_at, tried_by, closed_at, closed_by, closed_why, key, headers, value
FROM dead_letters
WHERE dead_letter_id = %(id)s;

-- name: read_states
-- Which of these there are, and which of them are closed.
SELECT dead_letter_id, state
FROM dead_letters
WHERE dead_letter_id = ANY(%(ids)s::bigint[]);

-- name: last_id
-- Where a walk through a selection ends; what is refused meanwhile is not part of it.
SELECT coalesce(max(dead_letter_id), 0)
FROM dead_letters;

-- name: page_open
-- The next open ones of a selection and what each weighs in bytes, in key order; nothing is locked yet.
SELECT dead_letter_id,
       coalesce(octet_length(value), 0) + coalesce(octet_length(key), 0) + pg_column_size(headers) AS bytes
FROM dead_letters
WHERE state = 'open'
  AND dead_letter_id > %(after)s AND dead_letter_id <= %(last)s
  AND (%(ids)s::bigint[] IS NULL OR dead_letter_id = ANY(%(ids)s))
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(topic)s::text IS NULL OR topic = %(topic)s)
ORDER BY dead_letter_id
LIMIT %(limit)s;

-- name: lock_open
-- Those of these that are still open and that nobody else holds: of two retries at once, each message has one.
SELECT dead_letter_id, topic, partition, source_offset, timestamp_ms, key, value, headers
FROM dead_letters
WHERE dead_letter_id = ANY(%(ids)s::bigint[]) AND state = 'open'
ORDER BY dead_letter_id
FOR UPDATE SKIP LOCKED;

-- name: close_applied
-- What has gone through the merge in this transaction.
UPDATE dead_letters
SET state = 'applied', closed_at = now(), closed_by = %(by)s,
    attempts = attempts + 1, tried_at = now(), tried_by = %(by)s
WHERE dead_letter_id = ANY(%(ids)s::bigint[]);

-- name: keep_open
-- What was tried and is refused still, for what it is refused now.
UPDATE dead_letters d
SET reason = t.reason, detail = t.detail, attempts = d.attempts + 1, tried_at = now(), tried_by = %(by)s
FROM unnest(%(ids)s::bigint[], %(reasons)s::text[], %(details)s::text[]) AS t (dead_letter_id, reason, detail)
WHERE d.dead_letter_id = t.dead_letter_id;

-- name: discard_open
-- Given up: what of these is still open and nobody else holds.
UPDATE dead_letters
SET state = 'discarded', closed_at = now(), closed_by = %(by)s, closed_why = %(why)s
WHERE dead_letter_id IN (
    SELECT dead_letter_id
    FROM dead_letters
    WHERE dead_letter_id = ANY(%(ids)s::bigint[]) AND state = 'open'
    ORDER BY dead_letter_id
    FOR UPDATE SKIP LOCKED
);
