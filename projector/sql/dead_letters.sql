-- name: keep_dead_letters
-- A message that is read again is the same dead letter: a replay adds none.
INSERT INTO dead_letters (topic, partition, source_offset, timestamp_ms, reason, detail, key, value, headers)
VALUES (%(topic)s, %(partition)s, %(offset)s, %(timestamp_ms)s, %(reason)s, %(detail)s, %(key)s, %(value)s, %(headers)s)
ON CONFLICT (topic, partition, source_offset, timestamp_ms) DO NOTHING;

-- name: count_open_before
-- What stands open right before these positions, by reason: how many lie within the share's depth, and how many end the
-- partition, with no other message between them and the position.
WITH given AS (
    SELECT *
    FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
         AS g (topic, partition, next_offset)
),
recent AS (
    SELECT d.reason, g.next_offset - d.source_offset AS back,
           dense_rank() OVER (PARTITION BY d.topic, d.partition ORDER BY d.source_offset DESC) AS nth
    FROM given g
    JOIN dead_letters d ON d.topic = g.topic AND d.partition = g.partition
     AND d.source_offset < g.next_offset AND d.source_offset >= g.next_offset - %(run_depth)s
    WHERE d.state = 'open'
)
SELECT reason, count(*) FILTER (WHERE back <= %(share_depth)s), count(*) FILTER (WHERE back = nth)
FROM recent
GROUP BY reason
ORDER BY reason;
