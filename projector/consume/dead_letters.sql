-- name: keep_dead_letters
-- A message that is read again is the same dead letter, so a replay adds none. It is the same message if place, time, topic
-- id and digest are equal: after a topic was created again, or its log truncated, the same offset holds another message.
-- Dead letters from before topic ids and digests were stored have neither, and are compared by their bytes.
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
-- Dead letters that are open right before these positions, by reason: how many lie within the depth of the share, and how
-- many end the partition, with no accepted message between them and the position. Those of an earlier topic of the same
-- name do not count. Of two at one offset, as in a log that was truncated and has grown again, the later one counts.
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
