-- What PostgreSQL knows of a deployment, as one number a row and a label where there is one.

-- name: stops
-- Hosts on which a consumer of the group has stopped with an error, by reason.
SELECT reason, count(*) FROM consumer_stops WHERE group_id = %(group_id)s GROUP BY reason;

-- name: verified
-- When the newest run that compared everything began, and how old it may be by the latest schedule.
SELECT (SELECT extract(epoch FROM started_at)::float8 FROM backfill_runs
        WHERE verified ORDER BY started_at DESC LIMIT 1),
       (SELECT promised_seconds FROM backfill_runs
        WHERE command = 'drift-check' AND promised_seconds IS NOT NULL ORDER BY started_at DESC LIMIT 1);

-- name: unverified_meters
-- Meters that were written since a run compared them; all of them if none did.
SELECT count(*) FROM meter_trust() WHERE changed_since;

-- name: open_drift
-- Open findings, by cause.
SELECT cause, sum(findings)::float8, sum(amount)::float8 FROM open_findings() GROUP BY cause;

-- name: dead_letters
-- Open dead letters, by reason, and when the oldest of each was refused.
SELECT reason, count(*), extract(epoch FROM min(refused_at))::float8
FROM dead_letters
WHERE state = 'open'
GROUP BY reason;

-- name: last_success
-- When a run of each command last finished with no chunk failed.
SELECT command, extract(epoch FROM max(finished_at))::float8
FROM backfill_runs
WHERE state = 'finished' AND coalesce(failed_chunks, 0) = 0
GROUP BY command;

-- name: progress
-- Of the newest run of each command that compares customers and is not over: how many customers there are, and how many
-- are behind its last chunk. The meters of nobody come last, and count as one more customer.
SELECT r.command, CASE WHEN r.phase = 'customers' THEN done.customers::float8 / greatest(every.customers + 1, 1)
                       ELSE every.customers::float8 / (every.customers + 1) END
FROM (SELECT DISTINCT ON (command) command, phase, cursor, state, round FROM backfill_runs
      ORDER BY command, started_at DESC) r,
LATERAL (SELECT count(*) AS customers FROM customer_balances) every,
LATERAL (SELECT count(*) AS customers FROM customer_balances WHERE customer_id <= r.cursor) done
WHERE r.state IN ('running', 'paused', 'failed') AND r.round = 1 AND r.command IN ('drift-check', 'rebuild');

-- name: overdue
-- For how long the assignment that begins or ends next, after the clock, is due; negative while it is ahead.
SELECT extract(epoch FROM now() - min(at))::float8
FROM (
    SELECT a.assigned_at AS at FROM meter_assignments a, assignment_clock c
    WHERE NOT a.active AND NOT a.ended AND a.assigned_at > c.through
    UNION ALL
    SELECT a.unassigned_at FROM meter_assignments a, assignment_clock c
    WHERE a.active AND NOT a.ended AND a.unassigned_at > c.through
) ahead;
