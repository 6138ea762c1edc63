-- name: positions
-- How far each partition is applied.
SELECT topic, partition, next_offset, topic_id, updated_at, conflicts
FROM positions
WHERE group_id = %(group_id)s
ORDER BY topic, partition;

-- name: dead_letters
-- What was refused and still waits for somebody, by reason.
SELECT reason, count(*) AS open, min(refused_at) AS first_at, max(refused_at) AS last_at
FROM dead_letters
WHERE state = 'open'
GROUP BY reason
ORDER BY open DESC, reason;

-- name: last_check
-- The newest run that compared the whole projection, and what it found.
SELECT r.run_id, r.command, r.state, r.started_at, r.finished_at,
       (SELECT count(*) FROM drift d WHERE d.run_id = r.run_id) AS findings,
       (SELECT count(*) FROM drift d WHERE d.run_id = r.run_id AND d.repaired_at IS NOT NULL) AS repaired
FROM backfill_runs r
WHERE r.command IN ('drift-check', 'rebuild')
ORDER BY r.started_at DESC
LIMIT 1;
