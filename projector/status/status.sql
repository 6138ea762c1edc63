-- name: positions
-- How far each partition is applied.
SELECT topic, partition, next_offset, topic_id, updated_at, conflicts
FROM positions
WHERE group_id = %(group_id)s
ORDER BY topic, partition;

-- name: sessions
-- The consumers' sessions in this database, of every group and schema. A consumer that hangs keeps its session after Kafka
-- has removed it from its group. Roles other than the session's own do not see its address and its start.
SELECT pid, usename::text AS "user", host(client_addr) AS address, backend_start AS began_at
FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'projector run'
ORDER BY pid;

-- name: stops
-- Why consumers of the group ended by themselves, as long as none that started later works; newest first.
SELECT host, reason, message, positions, times, first_at, stopped_at
FROM consumer_stops
WHERE group_id = %(group_id)s
ORDER BY stopped_at DESC, host, reason;

-- name: dead_letters
-- Open dead letters, by reason.
SELECT reason, count(*) AS open, min(refused_at) AS first_at, max(refused_at) AS last_at
FROM dead_letters
WHERE state = 'open'
GROUP BY reason
ORDER BY open DESC, reason;

-- name: last_verified
-- The newest run that compared everything, whatever it found, whether the latest schedule promised a newer one, and
-- whether there is no balance to compare.
SELECT r.run_id, r.command, r.started_at, r.finished_at, promised.promised_seconds,
       coalesce(r.finished_at < now() - make_interval(secs => promised.promised_seconds), false) AS overdue,
       NOT (EXISTS (SELECT FROM meter_balances) OR EXISTS (SELECT FROM customer_balances)) AS is_empty
FROM backfill_runs r
LEFT JOIN (SELECT promised_seconds FROM backfill_runs
           WHERE command = 'drift-check' AND promised_seconds IS NOT NULL
           ORDER BY started_at DESC LIMIT 1) promised ON true
WHERE r.verified
ORDER BY r.started_at DESC
LIMIT 1;

-- name: what_it_found
-- Run `r`, its state, and how many findings it has: in all, and repaired.
r.run_id, r.command, r.state, r.started_at, r.finished_at, r.failed_chunks AS failed,
       (SELECT count(*) FROM drift d WHERE d.run_id = r.run_id) AS findings,
       (SELECT count(*) FROM drift d WHERE d.run_id = r.run_id AND d.repaired_at IS NOT NULL) AS repaired

-- name: last_check
-- The newest run over the whole projection, in whatever state it is, what it found, and whether a later run has repaired
-- anything: then what is left of its findings is unknown.
-- fill: what_it_found
SELECT {what_it_found},
       EXISTS (SELECT FROM backfill_runs later
               WHERE later.started_at > r.started_at AND later.tally -> 'repaired' > '0') AS repaired_since
FROM backfill_runs r
WHERE r.covers_all
ORDER BY r.started_at DESC
LIMIT 1;

-- name: last_log_check
-- The newest comparison of history with the log, and what it found.
-- fill: what_it_found
SELECT {what_it_found}
FROM backfill_runs r
WHERE r.command = 'verify-log'
ORDER BY r.started_at DESC
LIMIT 1;

-- name: assignments
-- The clock, how many assignments begin or end after it, and when the next one does. Only what lies ahead is read.
SELECT c.through AS clock, count(ahead.at) AS ahead, min(ahead.at) AS next_at
FROM assignment_clock c
LEFT JOIN LATERAL (
    SELECT a.assigned_at AS at FROM meter_assignments a
    WHERE NOT a.active AND NOT a.ended AND a.assigned_at > c.through
    UNION ALL
    SELECT a.unassigned_at FROM meter_assignments a WHERE a.active AND NOT a.ended AND a.unassigned_at > c.through
) ahead ON true
GROUP BY c.through;
