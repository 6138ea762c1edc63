-- The table `backfill_runs`: one row a run.

-- name: columns
-- What a run is read by.
run_id, command, state, options, phase, cursor, tally, error, started_at, updated_at, finished_at, round,
    touched_xid

-- name: create_run
-- Begin a run before all keys. No transaction below the snapshot's xmin can change a row any more.
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
-- The latest runs first.
-- fill: columns
SELECT {columns}
FROM backfill_runs ORDER BY started_at DESC LIMIT %(limit)s;

-- name: lock_run
-- Read a run and hold its row. What has passed since it was last held was spent on its chunks: time in which nobody
-- was at it is left out, for --resume begins anew.
SELECT run_id, command, state, options, phase, cursor,
       jsonb_set(tally, '{seconds}', to_jsonb(
           (tally ->> 'seconds')::float8
           + CASE WHEN state = 'running' THEN extract(epoch FROM clock_timestamp() - updated_at) ELSE 0 END)) AS tally,
       error, started_at, updated_at, finished_at, round, touched_xid
FROM backfill_runs WHERE run_id = %(run_id)s
FOR NO KEY UPDATE;

-- name: advance_run
-- Store where a run stands; no row means that it is no longer running. With a new round it is remembered what was
-- still under way when it began, and the round looks at what was touched since the one before it began.
UPDATE backfill_runs SET phase = %(phase)s, cursor = %(cursor)s, tally = %(tally)s, updated_at = clock_timestamp(),
    round = %(round)s,
    touched_xid = CASE WHEN round < %(round)s THEN round_xid ELSE touched_xid END,
    round_xid = CASE WHEN round < %(round)s THEN pg_snapshot_xmin(pg_current_snapshot())::text::bigint ELSE round_xid END
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
-- The latest cycle of a rolling check, where it did not end and is not too old to go on with.
SELECT run_id
FROM (SELECT run_id, state, started_at FROM backfill_runs
      WHERE command = 'drift-check' AND options ? 'cover_within' ORDER BY started_at DESC LIMIT 1) latest
WHERE state IN ('running', 'paused', 'failed')
  AND started_at > clock_timestamp() - make_interval(secs => %(age_max)s);

-- name: last_compared
-- When the newest run that compared everything ended.
SELECT finished_at FROM backfill_runs WHERE verified ORDER BY started_at DESC LIMIT 1;

-- name: running_runs
-- The runs of a command that are running, or were when their processes were killed.
-- fill: columns
SELECT {columns}
FROM backfill_runs WHERE command = %(command)s AND state = 'running';
