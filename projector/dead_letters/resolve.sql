-- name: lock_open
-- Those that are still open and not locked by another transaction: of two concurrent retries, only one gets each message.
SELECT dead_letter_id, topic, partition, source_offset, timestamp_ms, key, value, headers
FROM dead_letters
WHERE dead_letter_id = ANY(%(ids)s::bigint[]) AND state = 'open'
ORDER BY dead_letter_id
FOR UPDATE SKIP LOCKED;

-- name: close_applied
-- Those that were applied in this transaction.
UPDATE dead_letters
SET state = 'applied', closed_at = now(), closed_by = %(by)s,
    attempts = attempts + 1, tried_at = now(), tried_by = %(by)s
WHERE dead_letter_id = ANY(%(ids)s::bigint[]);

-- name: keep_open
-- Those that are refused again, with the reason of this attempt.
UPDATE dead_letters d
SET reason = t.reason, detail = t.detail, attempts = d.attempts + 1, tried_at = now(), tried_by = %(by)s
FROM unnest(%(ids)s::bigint[], %(reasons)s::text[], %(details)s::text[]) AS t (dead_letter_id, reason, detail)
WHERE d.dead_letter_id = t.dead_letter_id;

-- name: discard_open
-- Those that are still open and not locked by another transaction.
UPDATE dead_letters
SET state = 'discarded', closed_at = now(), closed_by = %(by)s, closed_why = %(why)s
WHERE dead_letter_id IN (
    SELECT dead_letter_id
    FROM dead_letters
    WHERE dead_letter_id = ANY(%(ids)s::bigint[]) AND state = 'open'
    ORDER BY dead_letter_id
    FOR UPDATE SKIP LOCKED
);
