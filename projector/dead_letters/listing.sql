-- name: count_matching
-- The number of dead letters that match; a list may show only the latest of them.
SELECT count(*)
FROM dead_letters
WHERE (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(topic)s::text IS NULL OR topic = %(topic)s);

-- name: list_matching
-- The latest that match, without their bytes.
SELECT dead_letter_id, topic, partition, source_offset AS "offset", reason, detail, refused_at, state, attempts,
       tried_at, tried_by, closed_at, closed_by, closed_why
FROM dead_letters
WHERE (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(topic)s::text IS NULL OR topic = %(topic)s)
ORDER BY dead_letter_id DESC
LIMIT %(limit)s;

-- name: read_one
-- Everything that is stored of one message.
SELECT dead_letter_id, topic, partition, source_offset AS "offset", timestamp_ms, topic_id, reason, detail, refused_at,
       state, attempts, tried_at, tried_by, closed_at, closed_by, closed_why, key, headers, value
FROM dead_letters
WHERE dead_letter_id = %(id)s;
