-- The ledger of runs, and the findings each leaves behind.

-- name: create_run
-- Begin a run before all keys.
INSERT INTO backfill_runs (run_id, command, state, options, phase, cursor, tally)
VALUES (uuidv7(), %(command)s, 'running', %(options)s, %(phase)s, %(cursor)s, %(tally)s)
RETURNING run_id, command, state, options, phase, cursor, tally, error, started_at, updated_at, finished_at;

-- name: find_run
-- One run.
SELECT run_id, command, state, options, phase, cursor, tally, error, started_at, updated_at, finished_at
FROM backfill_runs WHERE run_id = %(run_id)s;

-- name: recent_runs
-- The latest runs first.
SELECT run_id, command, state, options, phase, cursor, tally, error, started_at, updated_at, finished_at
FROM backfill_runs ORDER BY started_at DESC LIMIT %(limit)s;

-- name: claim_run
-- Keep everyone else from carrying out this run for as long as the session lasts.
SELECT pg_advisory_lock(hashtextextended(%(run_id)s::text, 0));

-- name: advance_run
-- Move the cursor in the chunk's own transaction; no row means that the run is no longer ours.
UPDATE backfill_runs SET phase = %(phase)s, cursor = %(cursor)s, tally = %(tally)s, updated_at = clock_timestamp()
WHERE run_id = %(run_id)s AND state = 'running';

-- name: change_state
-- Move a run along an edge of `backfill.runs.TRANSITIONS`.
UPDATE backfill_runs SET state = %(state)s, error = %(error)s, updated_at = clock_timestamp(),
    finished_at = CASE WHEN %(ended)s THEN clock_timestamp() END
WHERE run_id = %(run_id)s AND state = %(known)s;

-- name: keep_finding
-- Keep a finding. A meter that changes hands during a run may be met again in a later chunk: the later look counts.
INSERT INTO drift (run_id, entity, entity_id, column_name, recorded, expected, difference, cause, evidence)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT ON CONSTRAINT drift_once_a_run DO UPDATE SET
    recorded = excluded.recorded, expected = excluded.expected, difference = excluded.difference,
    cause = excluded.cause, evidence = excluded.evidence, found_at = now(), repaired_at = NULL;

-- name: drifted_entities
-- The next meters or customers that this run found drifted, in key order.
SELECT DISTINCT entity_id FROM drift
WHERE run_id = %(run_id)s AND entity = %(entity)s AND entity_id > %(after)s
ORDER BY entity_id LIMIT %(size)s;

-- name: mark_repaired
-- Say so in the repair's own transaction.
UPDATE drift SET repaired_at = clock_timestamp()
WHERE run_id = %(run_id)s AND entity = %(entity)s AND entity_id = ANY(%(ids)s::bigint[]);

-- name: unmark_repaired
-- What still differs after the repair was not repaired.
UPDATE drift SET repaired_at = NULL
WHERE run_id = %(run_id)s AND entity = %(entity)s AND entity_id = ANY(%(ids)s::bigint[]);

-- name: findings
-- A run's findings, whatever moved most money first.
SELECT d.entity, d.entity_id, d.column_name, d.recorded, d.expected, d.difference, d.cause, d.evidence,
       d.found_at, d.repaired_at
FROM drift d
WHERE d.run_id = %(run_id)s
ORDER BY abs(d.difference) DESC NULLS LAST, d.entity DESC, d.entity_id, d.column_name
LIMIT %(limit)s;

-- name: significant_changes
-- Customers whose balance or overpayment is off by more than the threshold, largest first.
SELECT d.entity_id, c.name, initcap(d.column_name), d.recorded::numeric, d.expected::numeric, d.difference
FROM drift d
LEFT JOIN customers c ON c.customer_id = d.entity_id
WHERE d.run_id = %(run_id)s AND d.entity = 'customer' AND d.column_name IN ('balance', 'overpayment')
  AND abs(d.difference) > %(threshold)s
ORDER BY abs(d.difference) DESC, d.entity_id, d.column_name
LIMIT %(limit)s;

-- name: count_significant_changes
-- How many there are.
SELECT count(*) FROM drift
WHERE run_id = %(run_id)s AND entity = 'customer' AND column_name IN ('balance', 'overpayment')
  AND abs(difference) > %(threshold)s;

-- name: claim_checking
-- Keep every other drift check from this schema's balances for as long as the session lasts.
SELECT pg_advisory_lock(hashtextextended('drift-check ' || current_schema(), 0));

-- name: who_checks
-- The run of the session that holds that lock: it holds the run's own lock, too.
SELECT r.run_id, r.started_at
FROM pg_locks checking
JOIN pg_locks claimed ON claimed.pid = checking.pid AND claimed.locktype = 'advisory' AND claimed.granted
    AND claimed.database = checking.database
JOIN backfill_runs r ON r.state = 'running' AND r.command = 'drift-check'
    AND hashtextextended(r.run_id::text, 0) = (claimed.classid::bigint << 32) | claimed.objid::bigint
WHERE checking.locktype = 'advisory' AND checking.granted
  AND checking.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND hashtextextended('drift-check ' || current_schema(), 0)
      = (checking.classid::bigint << 32) | checking.objid::bigint;

-- name: unfinished_cycle
-- The latest cycle of a rolling check, where it did not end and is not too old to go on with.
SELECT run_id
FROM (SELECT run_id, state, started_at FROM backfill_runs
      WHERE command = 'drift-check' AND options ? 'cover_within' ORDER BY started_at DESC LIMIT 1) latest
WHERE state IN ('running', 'paused', 'failed')
  AND started_at > clock_timestamp() - make_interval(secs => %(age_max)s);

-- name: last_compared
-- When a run that compared everything last ended.
SELECT finished_at
FROM backfill_runs
WHERE command IN ('drift-check', 'rebuild') AND state = 'finished' AND (tally ->> 'failed')::bigint = 0
ORDER BY started_at DESC
LIMIT 1;
