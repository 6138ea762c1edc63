-- The ledger of runs, and the findings each leaves behind.

-- name: create_run
-- Begin a run before all keys. No transaction below the snapshot's xmin can change a row any more.
INSERT INTO backfill_runs (run_id, command, state, options, phase, cursor, tally, round_xid)
VALUES (uuidv7(), %(command)s, 'running', %(options)s, %(phase)s, %(cursor)s, %(tally)s,
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
RETURNING run_id, command, state, options, phase, cursor, tally, error, started_at, updated_at, finished_at, round,
    touched_xid;

-- name: find_run
-- One run.
SELECT run_id, command, state, options, phase, cursor, tally, error, started_at, updated_at, finished_at, round,
    touched_xid
FROM backfill_runs WHERE run_id = %(run_id)s;

-- name: recent_runs
-- The latest runs first.
SELECT run_id, command, state, options, phase, cursor, tally, error, started_at, updated_at, finished_at, round,
    touched_xid
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
UPDATE backfill_runs SET state = %(state)s, error = %(error)s, updated_at = clock_timestamp(),
    finished_at = CASE WHEN %(ended)s THEN clock_timestamp() END
WHERE run_id = %(run_id)s AND state = %(known)s
RETURNING run_id, command, state, options, phase, cursor, tally, error, started_at, updated_at, finished_at, round,
    touched_xid;

-- name: keep_findings
-- Keep a chunk's findings. A meter that changes hands during a run may be met again in a later chunk or round: the
-- later look counts. With a meter stands whom it was shown under and whose it was by history, at every look: their sums
-- may rest on what its row says, and once it has moved nothing else tells who they were.
INSERT INTO drift (run_id, entity, entity_id, column_name, recorded, expected, difference, cause, evidence, positions,
                   round, owners)
SELECT %(run_id)s, entity, entity_id, column_name, recorded, expected, difference, cause, evidence, %(positions)s,
       %(round)s,
       CASE WHEN entity = 'meter' THEN ARRAY(
           SELECT m.customer_id FROM meter_balances m WHERE m.meter_id = entity_id AND m.customer_id IS NOT NULL
           UNION
           (SELECT a.customer_id FROM meter_assignments a WHERE a.meter_id = entity_id AND a.active
            ORDER BY a.assigned_at DESC, a.assignment_id DESC LIMIT 1)) END
FROM found
ON CONFLICT ON CONSTRAINT drift_once_a_run DO UPDATE SET
    recorded = excluded.recorded, expected = excluded.expected, difference = excluded.difference,
    cause = excluded.cause, evidence = excluded.evidence, positions = excluded.positions, found_at = now(),
    repaired_at = NULL, round = excluded.round, owners = drift.owners || excluded.owners;

-- name: count_new
-- How many of a chunk's findings, and of the meters and customers they are about, this run knew nothing of until now;
-- and how many of those its round knew nothing of.
SELECT count(*) FILTER (WHERE d.column_name IS NULL) AS findings,
       count(DISTINCT f.entity_id) FILTER (WHERE f.entity = 'meter' AND known.in_round IS NULL) AS drifted_meters,
       count(DISTINCT f.entity_id) FILTER (WHERE f.entity = 'customer' AND known.in_round IS NULL) AS drifted_customers,
       count(DISTINCT (f.entity, f.entity_id)) FILTER (WHERE known.in_round IS DISTINCT FROM %(round)s) AS found_again
FROM found f
LEFT JOIN drift d ON d.run_id = %(run_id)s AND d.entity = f.entity AND d.entity_id = f.entity_id
    AND d.column_name = f.column_name
CROSS JOIN LATERAL (
    SELECT max(e.round) AS in_round FROM drift e
    WHERE e.run_id = %(run_id)s AND e.entity = f.entity AND e.entity_id = f.entity_id
) known;

-- name: found_in_round
-- Whether the run's round has found anything.
SELECT FROM drift WHERE run_id = %(run_id)s AND round = %(round)s LIMIT 1;

-- name: count_found_in_round
-- How many meters and customers a round found.
SELECT count(DISTINCT entity_id) FILTER (WHERE entity = 'meter'),
       count(DISTINCT entity_id) FILTER (WHERE entity = 'customer')
FROM drift WHERE run_id = %(run_id)s AND round = %(round)s;

-- name: keep_unrepaired
-- What the repairs of the rounds until now have left: whoever pages the next one meets it, also where nothing else names
-- it any more.
INSERT INTO backfill_touched (run_id, entity, entity_id)
SELECT DISTINCT run_id, entity, entity_id FROM drift WHERE run_id = %(run_id)s AND repaired_at IS NULL
ORDER BY 2, 3
ON CONFLICT DO NOTHING;

-- name: resolve_compared
-- Of what is compared once more, that which an earlier round could not repair has come right since, unless this
-- comparison finds it again, which is written down next.
UPDATE drift SET repaired_at = clock_timestamp()
WHERE run_id = %(run_id)s AND entity = %(entity)s AND entity_id = ANY(%(ids)s::bigint[])
  AND repaired_at IS NULL AND round < %(round)s;

-- name: count_unrepaired
-- How many meters and customers a run has found that were not repaired, and that it has not found to be right since.
SELECT count(DISTINCT entity_id) FILTER (WHERE entity = 'meter'),
       count(DISTINCT entity_id) FILTER (WHERE entity = 'customer')
FROM drift WHERE run_id = %(run_id)s AND repaired_at IS NULL;

-- name: positions
-- Up to where the stream is applied in this snapshot: the next offset by group, topic and partition.
SELECT jsonb_object_agg(group_id, topics)
FROM (SELECT group_id, jsonb_object_agg(topic, offsets) AS topics
      FROM (SELECT group_id, topic, jsonb_object_agg(partition, next_offset) AS offsets
            FROM positions GROUP BY group_id, topic) partitions
      GROUP BY group_id) groups;

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
       d.found_at, d.repaired_at, d.positions, c.name
FROM drift d
LEFT JOIN customers c ON d.entity = 'customer' AND c.customer_id = d.entity_id
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

-- name: lock_check
-- Wait until nobody checks this schema's balances, and keep everyone else from beginning to.
SELECT pg_advisory_lock(hashtextextended('drift-check ' || current_schema(), 0));

-- name: share_check
-- Let others share the check that begins, and none begin another, for as long as one of these sessions lasts.
SELECT pg_advisory_lock_shared(hashtextextended('drift-check ' || current_schema(), 0)),
       pg_advisory_unlock(hashtextextended('drift-check ' || current_schema(), 0));

-- name: join_check
-- Share the check that is under way.
SELECT pg_advisory_lock_shared(hashtextextended('drift-check ' || current_schema(), 0));

-- name: leave_check
-- Share it no longer.
SELECT pg_advisory_unlock_shared(hashtextextended('drift-check ' || current_schema(), 0));

-- name: running_checks
-- The runs of the other sessions that hold that lock: each holds its run's own lock, too.
SELECT DISTINCT r.run_id, r.started_at
FROM pg_locks checking
JOIN pg_locks claimed ON claimed.pid = checking.pid AND claimed.locktype = 'advisory' AND claimed.granted
    AND claimed.database = checking.database
JOIN backfill_runs r ON r.state = 'running' AND r.command = 'drift-check'
    AND hashtextextended(r.run_id::text, 0) = (claimed.classid::bigint << 32) | claimed.objid::bigint
WHERE checking.locktype = 'advisory' AND checking.granted AND checking.pid <> pg_backend_pid()
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
-- When the newest run that compared everything ended.
SELECT finished_at FROM verified_runs ORDER BY started_at DESC LIMIT 1;
