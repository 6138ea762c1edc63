-- Replaying messages over rows of history; {table} and {key} are one entity's.

-- name: is_refused
-- Whether a message is a dead letter that was not applied: `projector dead-letters retry` is the way for those. Letters
-- with its digest decide; where there is none, those that were kept before digests were. No row: it was never refused.
SELECT bool_and(state <> 'applied')
FROM dead_letters
WHERE topic = %(topic)s AND partition = %(partition)s AND source_offset = %(offset)s AND timestamp_ms = %(timestamp_ms)s
  AND (topic_id IS NULL OR topic_id = %(topic_id)s) AND (digest IS NULL OR digest = %(digest)s)
GROUP BY digest IS NULL
ORDER BY digest IS NULL
LIMIT 1;

-- name: position
-- Up to where the partition is applied by now, by whatever group; a former topic of the same name is another log.
SELECT max(next_offset) FROM positions
WHERE topic = %(topic)s AND partition = %(partition)s AND (topic_id IS NULL OR topic_id = %(topic_id)s);

-- name: look
-- What rows claim to be.
SELECT {key}, version, event_id, source_partition, source_offset FROM {table} WHERE {key} = ANY(%(ids)s);

-- name: lock
-- The same, under their locks, taken in key order.
SELECT {key}, version, event_id, source_partition, source_offset FROM {table}
WHERE {key} = ANY(%(ids)s) ORDER BY {key} FOR UPDATE;

-- name: lower
-- Below every event's rank: those have versions from 1, and ids that are not empty. Marks stay.
UPDATE {table} SET version = 0, event_id = '', source_partition = NULL, source_offset = NULL
WHERE {key} = ANY(%(ids)s);
