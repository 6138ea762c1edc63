-- Replaying messages over rows of history; {table} and {key} are those of one entity.

-- name: is_refused
-- Whether a message is a dead letter that was not applied; those are for `projector dead-letters retry`. Dead letters with
-- the message's digest decide, or, if there are none, those from before digests were stored. No row: it was never refused.
SELECT bool_and(state <> 'applied')
FROM dead_letters
WHERE topic = %(topic)s AND partition = %(partition)s AND source_offset = %(offset)s AND timestamp_ms = %(timestamp_ms)s
  AND (topic_id IS NULL OR topic_id = %(topic_id)s) AND (digest IS NULL OR digest = %(digest)s)
GROUP BY digest IS NULL
ORDER BY digest IS NULL
LIMIT 1;

-- name: position
-- The offset up to which any group has applied the partition; an earlier topic of the same name is another log.
SELECT max(next_offset) FROM positions
WHERE topic = %(topic)s AND partition = %(partition)s AND (topic_id IS NULL OR topic_id = %(topic_id)s);

-- name: look
-- The version and place that rows claim.
SELECT {key}, version, event_id, source_partition, source_offset FROM {table} WHERE {key} = ANY(%(ids)s);

-- name: lock
-- The same, with the rows locked in key order.
SELECT {key}, version, event_id, source_partition, source_offset FROM {table}
WHERE {key} = ANY(%(ids)s) ORDER BY {key} FOR UPDATE;

-- name: lock_clock
-- The clock, shared, as the merge of assignments does.
SELECT FROM assignment_clock FOR SHARE;

-- name: lower
-- Set the rank below that of any event, whose version is at least 1 and whose id is not empty. Counted amounts stay.
UPDATE {table} SET version = 0, event_id = '', source_partition = NULL, source_offset = NULL
WHERE {key} = ANY(%(ids)s);
