-- name: create_positions
-- A partition that this group never read starts at the first offset of the broker's log.
INSERT INTO positions (group_id, topic, partition, next_offset, topic_id)
SELECT %(group_id)s, seen.topic, seen.partition, seen.next_offset, seen.topic_id
FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[], %(topic_ids)s::text[])
     AS seen (topic, partition, next_offset, topic_id)
ORDER BY seen.topic, seen.partition
ON CONFLICT (group_id, topic, partition) DO NOTHING;

-- name: read_positions
-- The group's position on every partition that it has read, and what identifies the log that it read.
SELECT topic, partition, next_offset, topic_id, last_offset, last_leader_epoch, last_timestamp_ms, last_digest
FROM positions
WHERE group_id = %(group_id)s;

-- name: adopt_topics
-- A position from before topic ids were stored takes the id that its topic has now.
UPDATE positions p
SET topic_id = seen.topic_id
FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(topic_ids)s::text[]) AS seen (topic, partition, topic_id)
WHERE p.group_id = %(group_id)s AND p.topic = seen.topic AND p.partition = seen.partition AND p.topic_id IS NULL;

-- name: other_group
-- Another group that has read these topics into these tables, if this group never has: most likely its name is mistyped.
SELECT min(other.group_id)
FROM positions other
WHERE other.topic = ANY (%(topics)s) AND other.group_id <> %(group_id)s
  AND NOT EXISTS (SELECT FROM positions own WHERE own.group_id = %(group_id)s);

-- name: move_positions
-- The compare-and-set that makes a batch count once. It locks positions in key order, moves one only from the offset and
-- topic id that this consumer read from, and returns a row for each position that was moved. The topic id stays. What
-- identifies the last message applied is replaced, unless the batch passed only transaction markers. The duration of the
-- consumer's previous transaction, from its first statement to its commit, is stored with it. Also return up to where
-- conflicts had been counted: behind the new position where an operator has set the old one back.
WITH wanted AS (
    SELECT *
    FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(start_offsets)s::bigint[], %(end_offsets)s::bigint[],
                %(topic_ids)s::text[], %(last_offsets)s::bigint[], %(last_leader_epochs)s::integer[],
                %(last_timestamps_ms)s::bigint[], %(last_digests)s::bytea[])
         AS w (topic, partition, start_offset, end_offset, topic_id, last_offset, last_leader_epoch,
               last_timestamp_ms, last_digest)
),
locked AS (
    SELECT p.topic, p.partition
    FROM positions p
    JOIN wanted w ON w.topic = p.topic AND w.partition = p.partition
    WHERE p.group_id = %(group_id)s AND p.next_offset = w.start_offset AND p.topic_id IS NOT DISTINCT FROM w.topic_id
    ORDER BY p.topic, p.partition
    FOR NO KEY UPDATE OF p
)
UPDATE positions p
SET next_offset = w.end_offset, updated_at = now(),
    conflicts_counted_to = greatest(p.conflicts_counted_to, w.end_offset),
    last_offset = coalesce(w.last_offset, p.last_offset),
    last_leader_epoch = CASE WHEN w.last_offset IS NULL THEN p.last_leader_epoch ELSE w.last_leader_epoch END,
    last_timestamp_ms = coalesce(w.last_timestamp_ms, p.last_timestamp_ms),
    last_digest = coalesce(w.last_digest, p.last_digest),
    transaction_ms = coalesce(%(transaction_ms)s::float8, p.transaction_ms)
FROM locked l JOIN wanted w USING (topic, partition)
WHERE p.group_id = %(group_id)s AND p.topic = l.topic AND p.partition = l.partition
RETURNING p.topic, p.partition, old.conflicts_counted_to;

-- name: set_positions
-- An operator's decision: the same compare-and-set, to any offset of the current topic. The last message applied is
-- unknown until the next batch. Conflicts of a topic that was created again are counted from its beginning.
WITH wanted AS (
    SELECT *
    FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(start_offsets)s::bigint[], %(offsets)s::bigint[],
                %(topic_ids)s::text[])
         AS w (topic, partition, start_offset, next_offset, topic_id)
),
locked AS (
    SELECT p.topic, p.partition
    FROM positions p
    JOIN wanted w ON w.topic = p.topic AND w.partition = p.partition
    WHERE p.group_id = %(group_id)s AND p.next_offset = w.start_offset
    ORDER BY p.topic, p.partition
    FOR NO KEY UPDATE OF p
)
UPDATE positions p
SET next_offset = w.next_offset, topic_id = w.topic_id, updated_at = now(),
    last_offset = NULL, last_leader_epoch = NULL, last_timestamp_ms = NULL, last_digest = NULL,
    conflicts_counted_to = CASE WHEN p.topic_id <> w.topic_id THEN 0 ELSE p.conflicts_counted_to END
FROM locked l JOIN wanted w USING (topic, partition)
WHERE p.group_id = %(group_id)s AND p.topic = l.topic AND p.partition = l.partition;

-- name: add_conflicts
-- Each is counted on the partition of its event.
UPDATE positions p
SET conflicts = p.conflicts + found.conflicts
FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(conflicts)s::bigint[])
     AS found (topic, partition, conflicts)
WHERE p.group_id = %(group_id)s AND p.topic = found.topic AND p.partition = found.partition;
