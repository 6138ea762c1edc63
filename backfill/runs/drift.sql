-- The table `drift`: what runs found, and whether it was repaired.

-- name: keep_findings
-- Store a chunk's findings. A meter that changes hands during a run may be compared again in a later chunk or round:
-- the later finding replaces the earlier. Each time, the finding of a meter stores the customer it is shown under and
-- its customer by history: their sums may rest on what its row says, and once it has moved nothing else names them.
-- fill: in_effect
INSERT INTO drift (run_id, entity, entity_id, column_name, recorded, expected, difference, cause, evidence, positions,
                   round, owners)
SELECT %(run_id)s, entity, entity_id, column_name, recorded, expected, difference, cause, evidence, %(positions)s,
       %(round)s,
       CASE WHEN entity = 'meter' THEN ARRAY(
           SELECT m.customer_id FROM meter_balances m WHERE m.meter_id = entity_id AND m.customer_id IS NOT NULL
           UNION
           (SELECT a.customer_id FROM meter_assignments a WHERE a.meter_id = entity_id AND {in_effect}
            ORDER BY a.assigned_at DESC, a.assignment_id DESC LIMIT 1)) END
FROM found
ON CONFLICT ON CONSTRAINT drift_once_a_run DO UPDATE SET
    recorded = excluded.recorded, expected = excluded.expected, difference = excluded.difference,
    cause = excluded.cause, evidence = excluded.evidence, positions = excluded.positions, found_at = now(),
    repaired_at = NULL, round = excluded.round, owners = drift.owners || excluded.owners;

-- name: positions
-- Up to where the stream is applied in this snapshot: the next offset by group, topic and partition.
SELECT jsonb_object_agg(group_id, topics)
FROM (SELECT group_id, jsonb_object_agg(topic, offsets) AS topics
      FROM (SELECT group_id, topic, jsonb_object_agg(partition, next_offset) AS offsets
            FROM positions GROUP BY group_id, topic) partitions
      GROUP BY group_id) groups;

-- name: mark_repaired
-- Record a repair.
UPDATE drift SET repaired_at = clock_timestamp()
WHERE run_id = %(run_id)s AND entity = %(entity)s AND entity_id = ANY(%(ids)s::bigint[]);

-- name: findings
-- A run's findings, those with the largest difference first.
SELECT d.entity, d.entity_id, d.column_name, d.recorded, d.expected, d.difference, d.cause, d.evidence,
       d.found_at, d.repaired_at, d.positions, c.name
FROM drift d
LEFT JOIN customers c ON d.entity = 'customer' AND c.customer_id = d.entity_id
WHERE d.run_id = %(run_id)s
ORDER BY abs(d.difference) DESC NULLS LAST, d.entity DESC, d.entity_id, d.column_name
LIMIT %(limit)s;

-- name: amounts_off
-- By how much a run found balances and overpayments to be off, without signs: of meters, and of customers. And whether
-- it found that history was edited: what it calls expected is then what the edit made of it.
SELECT coalesce(sum(abs(difference)) FILTER (WHERE entity = 'meter' AND column_name IN ('balance', 'overpayment')), 0),
       coalesce(sum(abs(difference)) FILTER (WHERE entity = 'customer' AND column_name IN ('balance', 'overpayment')), 0),
       coalesce(bool_or(cause = ANY(%(of_history)s)), false)
FROM drift
WHERE run_id = %(run_id)s;

-- name: significant_changes
-- Customers whose balance or overpayment differs by more than the threshold, largest difference first.
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
