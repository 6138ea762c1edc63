-- Whether what is to compare everything again and again does so.

-- name: checker
-- The newest check of a schedule; up to when its schedule promised that everything is compared once more, counted from
-- the newest run that compared everything, or from the schedule's first check.
SELECT r.run_id, r.state, r.started_at, r.updated_at, r.finished_at, r.promised_seconds, due.at AS due_at,
       due.at < now() AS overdue
FROM backfill_runs r
CROSS JOIN LATERAL (
    SELECT make_interval(secs => r.promised_seconds) + coalesce(
        (SELECT v.finished_at FROM last_verified_run() v),
        (SELECT min(first.started_at) FROM backfill_runs first
         WHERE first.command = 'drift-check' AND first.promised_seconds IS NOT NULL))) AS due (at)
WHERE r.command = 'drift-check' AND r.promised_seconds IS NOT NULL
ORDER BY r.started_at DESC
LIMIT 1;

-- name: running
-- Runs that say that they run, each the newest of its command: one that a newer run follows is history. A run that has
-- only just said so may not have its lock yet.
SELECT run_id, command, started_at, updated_at, updated_at < now() - interval '10 seconds' AS settled
FROM (SELECT DISTINCT ON (command) run_id, command, state, started_at, updated_at
      FROM backfill_runs
      ORDER BY command, started_at DESC) newest
WHERE state = 'running'
ORDER BY started_at;
