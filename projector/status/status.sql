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

-- name: last_verified
-- When everything was last compared, however that turned out, and whether whoever watches promised it sooner. What the
-- auditor's role left in a document may be anything: what is no sensible number is passed over, and fails nothing.
SELECT r.run_id, r.command, r.started_at, r.finished_at, promised.seconds AS promised_seconds,
       coalesce(r.finished_at < now() - make_interval(secs => promised.seconds), false) AS overdue
FROM backfill_runs r
LEFT JOIN (SELECT jsonb_path_query_first(options, '$.promised_seconds ? (@ >= 0 && @ <= 1000000000)')::float8
                      AS seconds
           FROM backfill_runs
           WHERE command = 'drift-check' AND options ? 'promised_seconds'
           ORDER BY started_at DESC LIMIT 1) promised ON true
WHERE r.command IN ('drift-check', 'rebuild') AND r.state = 'finished' AND r.tally -> 'failed' = '0'
  AND NOT r.options ? 'selection'
ORDER BY r.started_at DESC
LIMIT 1;

-- name: last_check
-- The newest run that compared the whole projection, and what it found.
SELECT r.run_id, r.command, r.state, r.started_at, r.finished_at,
       jsonb_path_query_first(r.tally, '$.failed ? (@ >= 0 && @ <= 1000000000)')::integer AS failed,
       (SELECT count(*) FROM drift d WHERE d.run_id = r.run_id) AS findings,
       (SELECT count(*) FROM drift d WHERE d.run_id = r.run_id AND d.repaired_at IS NOT NULL) AS repaired
FROM backfill_runs r
WHERE r.command IN ('drift-check', 'rebuild') AND NOT r.options ? 'selection'
ORDER BY r.started_at DESC
LIMIT 1;
