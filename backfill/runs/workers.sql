-- The lock that everybody holds who is at a run, and that of the one who ends it.

-- name: join_run
-- Be counted among those who carry a run out, for as long as the session lasts.
SELECT pg_advisory_lock_shared(hashtextextended(%(run_id)s::text, 0));

-- name: count_workers
-- How many processes carry a run out.
SELECT count(*)
FROM pg_locks
WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND hashtextextended(%(run_id)s::text, 0) = (classid::bigint << 32) | objid::bigint;

-- name: leave_run
-- Be counted no longer.
SELECT pg_advisory_unlock_shared(hashtextextended(%(run_id)s::text, 0));

-- name: close_if_empty
-- Whether nobody carries the run out any more; if so, nobody joins it until it is open again.
SELECT pg_try_advisory_lock(hashtextextended(%(run_id)s::text, 0));

-- name: reopen_run
-- Let others join.
SELECT pg_advisory_unlock(hashtextextended(%(run_id)s::text, 0));

-- name: claim_last_step
-- Be the one who does what comes at its end, for as long as the session lasts: a lock of its own, not the one above.
SELECT pg_advisory_lock(hashtextextended(%(run_id)s::text, 1));
