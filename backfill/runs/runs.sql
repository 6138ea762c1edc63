-- The table `backfill_runs`: one row for each run.

-- name: columns
-- The columns of a run.
run_id, command, state, options, phase, cursor, tally, error, started_at, updated_at, finished_at, round,
    touched_xid

-- name: create_run
-- Create a run before all keys. No transaction below the snapshot's xmin can write a row any more.
-- fill: columns
INSERT INTO backfill_runs (run_id, command, state, options, phase, cursor, tally, round_xid)
VALUES (uuidv7(), %(command)s, 'running', %(options)s, %(phase)s, %(cursor)s, %(tally)s,
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
RETURNING {columns};

-- name: find_run
-- One run.
-- fill: columns
SELECT {columns}
FROM backfill_runs WHERE run_id = %(run_id)s;

-- name: recent_runs
-- The latest runs, latest first.
-- fill: columns
SELECT {columns}
FROM backfill_runs ORDER BY started_at DESC LIMIT %(limit)s;

-- name: lock_run
-- Read a run and lock its row. The time since the last lock was spent on its chunks; a pause is left out, because
-- --resume sets `updated_at`.
SELECT run_id, command, state, options, phase, cursor,
       jsonb_set(tally, '{seconds}', to_jsonb(
           (tally ->> 'seconds')::float8
           + CASE WHEN state = 'running' THEN extract(epoch FROM clock_timestamp() - updated_at) ELSE 0 END)) AS tally,
       error, started_at, updated_at, finished_at, round, touched_xid
FROM backfill_runs WHERE run_id = %(run_id)s
FOR NO KEY UPDATE;

-- name: advance_run
-- Store a run's position; no row means that it is no longer running. When a round begins, the least transaction id in
-- progress is stored, and the round compares what was written since the round before began.
UPDATE backfill_runs SET phase = %(phase)s, cursor = %(cursor)s, tally = %(tally)s, updated_at = clock_timestamp(),
    round = %(round)s,
    touched_xid = CASE WHEN round < %(round)s THEN round_xid ELSE touched_xid END,
    round_xid = CASE WHEN round < %(round)s THEN pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                     ELSE round_xid END
WHERE run_id = %(run_id)s AND state = 'running'
RETURNING touched_xid;

-- name: change_state
-- Move a run along an edge of `backfill.runs.phases.TRANSITIONS`.
-- fill: columns
UPDATE backfill_runs SET state = %(state)s, error = %(error)s, updated_at = clock_timestamp(),
    finished_at = CASE WHEN %(ended)s THEN clock_timestamp() END
WHERE run_id = %(run_id)s AND state = %(known)s
RETURNING {columns};

-- name: unfinished_cycle
-- The latest round of a rolling check, if it has not ended and is recent enough to be resumed.
SELECT run_id
FROM (SELECT run_id, state, started_at FROM backfill_runs
      WHERE command = 'drift-check' AND options ? 'cover_within' ORDER BY started_at DESC LIMIT 1) latest
WHERE state IN ('running', 'paused', 'failed')
  AND started_at > clock_timestamp() - make_interval(secs => %(age_max)s);

-- name: last_compared
-- When the newest run that compared everything ended.
SELECT finished_at FROM backfill_runs WHERE verified ORDER BY started_at DESC LIMIT 1;

-- name: running_runs
-- The runs of a command in state running, whether their processes live or were killed.
-- fill: columns
SELECT {columns}
FROM backfill_runs WHERE command = %(command)s AND state = 'running';
