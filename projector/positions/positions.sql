-- name: create_positions
-- A partition that was never seen starts where the broker's log starts.
INSERT INTO positions (group_id, topic, partition, next_offset, topic_id)
SELECT %(group_id)s, seen.topic, seen.partition, seen.next_offset, seen.topic_id
FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[], %(topic_ids)s::text[])
     AS seen (topic, partition, next_offset, topic_id)
ORDER BY seen.topic, seen.partition
ON CONFLICT (group_id, topic, partition) DO NOTHING;

-- name: read_positions
-- Where this group is, on every partition it ever saw, and what identifies the log that it read there.
SELECT topic, partition, next_offset, topic_id, last_offset, last_leader_epoch, last_timestamp_ms, last_digest
FROM positions
WHERE group_id = %(group_id)s;

-- name: adopt_topics
-- A position from before topics' ids were kept takes the id that its topic has now.
UPDATE positions p
SET topic_id = seen.topic_id
FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(topic_ids)s::text[]) AS seen (topic, partition, topic_id)
WHERE p.group_id = %(group_id)s AND p.topic = seen.topic AND p.partition = seen.partition AND p.topic_id IS NULL;

-- name: other_group
-- A group that has read these topics into these tables, where this one never has: most likely a name was mistyped.
SELECT min(other.group_id)
FROM positions other
WHERE other.topic = ANY (%(topics)s) AND other.group_id <> %(group_id)s
  AND NOT EXISTS (SELECT FROM positions own WHERE own.group_id = %(group_id)s);

-- name: move_positions
-- The compare-and-set that makes a batch count once: locks in key order, moves only from the value this consumer
-- last knew on the topic that it read, and returns a row for each position that was moved. It keeps the topic's id, and
-- what identifies the last message applied, or that of the batch before where only transaction markers were passed over.
-- With it goes how long the consumer's transaction before took, from its first statement to its commit.
WITH wanted AS (
    SELECT *
    FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(known)s::bigint[], %(next)s::bigint[],
                %(topic_ids)s::text[], %(last_offsets)s::bigint[], %(last_leader_epochs)s::integer[],
                %(last_timestamps_ms)s::bigint[], %(last_digests)s::bytea[])
         AS w (topic, partition, known_offset, next_offset, topic_id, last_offset, last_leader_epoch,
               last_timestamp_ms, last_digest)
),
held AS (
    SELECT p.topic, p.partition
    FROM positions p
    JOIN wanted w ON w.topic = p.topic AND w.partition = p.partition
    WHERE p.group_id = %(group_id)s AND p.next_offset = w.known_offset AND p.topic_id IS NOT DISTINCT FROM w.topic_id
    ORDER BY p.topic, p.partition
    FOR NO KEY UPDATE OF p
)
UPDATE positions p
SET next_offset = w.next_offset, updated_at = now(),
    last_offset = coalesce(w.last_offset, p.last_offset),
    last_leader_epoch = CASE WHEN w.last_offset IS NULL THEN p.last_leader_epoch ELSE w.last_leader_epoch END,
    last_timestamp_ms = coalesce(w.last_timestamp_ms, p.last_timestamp_ms),
    last_digest = coalesce(w.last_digest, p.last_digest),
    transaction_ms = coalesce(%(transaction_ms)s::float8, p.transaction_ms)
FROM held h JOIN wanted w USING (topic, partition)
WHERE p.group_id = %(group_id)s AND p.topic = h.topic AND p.partition = h.partition
RETURNING p.topic, p.partition;

-- name: set_positions
-- A person's decision: the same compare-and-set, to anywhere, on the topic as it is now; what was applied last there is
-- not known until the next batch.
WITH wanted AS (
    SELECT *
    FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(known)s::bigint[], %(offsets)s::bigint[],
                %(topic_ids)s::text[])
         AS w (topic, partition, known_offset, next_offset, topic_id)
),
held AS (
    SELECT p.topic, p.partition
    FROM positions p
    JOIN wanted w ON w.topic = p.topic AND w.partition = p.partition
    WHERE p.group_id = %(group_id)s AND p.next_offset = w.known_offset
    ORDER BY p.topic, p.partition
    FOR NO KEY UPDATE OF p
)
UPDATE positions p
SET next_offset = w.next_offset, topic_id = w.topic_id, updated_at = now(),
    last_offset = NULL, last_leader_epoch = NULL, last_timestamp_ms = NULL, last_digest = NULL
FROM held h JOIN wanted w USING (topic, partition)
WHERE p.group_id = %(group_id)s AND p.topic = h.topic AND p.partition = h.partition;

-- name: add_conflicts
-- Kept on one partition of the batch they were found in: only the sum over a group means something.
UPDATE positions
SET conflicts = conflicts + %(conflicts)s
WHERE group_id = %(group_id)s AND topic = %(topic)s AND partition = %(partition)s;
