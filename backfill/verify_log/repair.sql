-- What a repair replays, and the meters that it affects.

-- name: to_replay
-- The next findings that a message can correct: the suspected rows and the places of their messages.
SELECT s.entity, s.entity_id, s.source_partition, s.source_offset, s.suspect_id
FROM log_suspects s
WHERE s.run_id = %(run_id)s AND s.version IS NOT NULL AND s.suspect_id > %(after)s
  AND EXISTS (SELECT FROM drift d
              WHERE d.run_id = s.run_id AND d.entity = %(names)s::jsonb ->> s.entity AND d.entity_id = s.entity_id
                AND d.repaired_at IS NULL)
ORDER BY s.suspect_id LIMIT %(size)s;

-- name: meters_of_invoices
-- The meters at which these invoices count or are marked, and those of the payments that follow them.
SELECT meter_id FROM invoices WHERE invoice_id = ANY(%(ids)s) AND meter_id IS NOT NULL
UNION SELECT projected_meter_id FROM invoices WHERE invoice_id = ANY(%(ids)s) AND projected_meter_id IS NOT NULL
UNION SELECT projected_meter_id FROM payments
      WHERE invoice_id = ANY(%(ids)s) AND meter_id IS NULL AND projected_meter_id IS NOT NULL;

-- name: meters_of_payments
-- The same for payments, and for the invoices that they follow.
SELECT p.meter_id FROM payments p WHERE payment_id = ANY(%(ids)s) AND meter_id IS NOT NULL
UNION SELECT projected_meter_id FROM payments WHERE payment_id = ANY(%(ids)s) AND projected_meter_id IS NOT NULL
UNION SELECT i.meter_id FROM payments p JOIN invoices i USING (invoice_id)
      WHERE p.payment_id = ANY(%(ids)s) AND i.meter_id IS NOT NULL;

-- name: meters_of_assignments
-- The meters of these assignments.
SELECT meter_id FROM meter_assignments WHERE assignment_id = ANY(%(ids)s);

-- name: keep_meters
-- Store with the run the meters whose balances its repair affects.
INSERT INTO backfill_touched (run_id, entity, entity_id)
SELECT %(run_id)s, 'meter', unnest(%(meters)s::bigint[])
ON CONFLICT DO NOTHING;

-- name: kept_meters
-- The next of these meters.
SELECT entity_id FROM backfill_touched
WHERE run_id = %(run_id)s AND entity = 'meter' AND entity_id > %(after)s
ORDER BY entity_id LIMIT %(size)s;

-- name: count_unrepaired
-- How many rows of a run still differ.
SELECT count(DISTINCT (entity, entity_id)) FROM drift WHERE run_id = %(run_id)s AND repaired_at IS NULL;
