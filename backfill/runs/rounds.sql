-- What the rounds after the first rest on: the findings of a run by the round that found them.

-- name: count_new
-- How many of a chunk's findings, and of the meters and customers that they are about, are new to this run; and how
-- many meters and customers are new to this round.
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
-- Store what the rounds so far could not repair, so that the next round compares it even if nothing else names it.
INSERT INTO backfill_touched (run_id, entity, entity_id)
SELECT DISTINCT run_id, entity, entity_id FROM drift WHERE run_id = %(run_id)s AND repaired_at IS NULL
ORDER BY 2, 3
ON CONFLICT DO NOTHING;

-- name: resolve_compared
-- Resolve what an earlier round could not repair of the entities that are about to be compared; what still differs is
-- stored again by that comparison.
UPDATE drift SET repaired_at = clock_timestamp()
WHERE run_id = %(run_id)s AND entity = %(entity)s AND entity_id = ANY(%(ids)s::bigint[])
  AND repaired_at IS NULL AND round < %(round)s;

-- name: count_unrepaired
-- How many meters and customers a run has found that were neither repaired nor found equal since.
SELECT count(DISTINCT entity_id) FILTER (WHERE entity = 'meter'),
       count(DISTINCT entity_id) FILTER (WHERE entity = 'customer')
FROM drift WHERE run_id = %(run_id)s AND repaired_at IS NULL;
