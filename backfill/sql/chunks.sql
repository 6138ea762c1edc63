-- Which keys a chunk covers. Every phase pages on immutable keys, each chunk beginning after the last key of the one
-- before, so that the ranges of a phase cover every key once, whatever is added meanwhile.

-- name: next_customers
-- Customers in key order: whoever has or had a meter, and whoever the projection shows; of a limited run also those
-- whose rows its repairs changed. The ids of a range, or where the next one of a given size ends.
SELECT customer_id
FROM (
    (SELECT DISTINCT k.customer_id FROM meter_assignments k
     WHERE k.customer_id > %(after)s AND k.customer_id <= %(last)s AND {selected_customers}
     ORDER BY k.customer_id LIMIT %(size)s)
    UNION
    (SELECT k.customer_id FROM customer_balances k
     WHERE k.customer_id > %(after)s AND k.customer_id <= %(last)s AND {selected_customers}
     ORDER BY k.customer_id LIMIT %(size)s)
    UNION
    (SELECT t.entity_id FROM backfill_touched t
     WHERE t.run_id = %(run_id)s AND t.entity = 'customer' AND t.entity_id > %(after)s AND t.entity_id <= %(last)s
     ORDER BY t.entity_id LIMIT %(size)s)
) known
ORDER BY customer_id
LIMIT %(size)s;

-- name: touched_customers
-- Those of these customers whose row, or a meter row that names them, was touched since the round before began.
SELECT k.customer_id FROM customer_balances k WHERE k.customer_id = ANY(%(ids)s::bigint[]) AND {touched}
UNION
SELECT k.customer_id FROM meter_balances k WHERE k.customer_id = ANY(%(ids)s::bigint[]) AND {touched}
ORDER BY customer_id;

-- name: touched_meters
-- The meters of a window that were touched since, whoever has them; those of the selection, and those that this run's
-- repairs set.
SELECT array_agg(meter_id ORDER BY meter_id)
FROM (
    SELECT k.meter_id FROM meter_balances k
    WHERE k.meter_id > %(after)s AND k.meter_id <= %(last)s AND {selected_meters} AND {touched}
    UNION
    SELECT k.meter_id FROM backfill_touched t
    JOIN meter_balances k ON k.meter_id = t.entity_id
    WHERE t.run_id = %(run_id)s AND t.entity = 'meter' AND t.entity_id > %(after)s AND t.entity_id <= %(last)s
      AND {touched}
) known;

-- name: count_customers
-- How many there are behind a key, for a progress bar and a pace.
SELECT count(*)
FROM (SELECT k.customer_id FROM meter_assignments k WHERE k.customer_id > %(after)s AND {selected_customers}
      UNION
      SELECT k.customer_id FROM customer_balances k WHERE k.customer_id > %(after)s AND {selected_customers}) known;

-- name: count_meters
-- How many meters the projection shows behind a key, for a pace.
SELECT count(*) FROM meter_balances WHERE meter_id > %(after)s;

-- name: last_meter
-- The greatest meter key of the projection, for a progress bar.
SELECT coalesce(max(meter_id), 0) FROM meter_balances;

-- name: next_drifted
-- The meters or customers of a range that this round found drifted, in key order; or where the next range ends.
SELECT DISTINCT entity_id FROM drift
WHERE run_id = %(run_id)s AND round = %(round)s AND entity = %(entity)s AND entity_id > %(after)s AND entity_id <= %(last)s
ORDER BY entity_id LIMIT %(size)s;

-- name: next_meter
-- Where a window of meter keys ends: so many keys further in the projection or, once that has no more, so many rows
-- further in history. Null: nothing is left. Any end would do; this one keeps windows alike in size.
SELECT coalesce(
    (SELECT meter_id FROM meter_balances WHERE meter_id > %(after)s ORDER BY meter_id OFFSET %(rows)s LIMIT 1),
    (SELECT meter_id FROM invoices WHERE meter_id > %(after)s AND NOT voided
     ORDER BY meter_id OFFSET %(rows)s LIMIT 1),
    (SELECT meter_id FROM payments WHERE meter_id > %(after)s AND NOT reversed
     ORDER BY meter_id OFFSET %(rows)s LIMIT 1));

-- name: unassigned_meters
-- The meters of a window that history gives no active customer: they are compared on their own.
SELECT array_agg(k.meter_id ORDER BY k.meter_id)
FROM (
    SELECT meter_id FROM meter_balances WHERE meter_id > %(after)s AND meter_id <= %(last)s
    UNION
    SELECT meter_id FROM invoices WHERE meter_id > %(after)s AND meter_id <= %(last)s AND NOT voided
    UNION
    SELECT meter_id FROM invoices WHERE meter_id > %(after)s AND meter_id <= %(last)s AND voided
    UNION
    SELECT meter_id FROM payments WHERE meter_id > %(after)s AND meter_id <= %(last)s AND NOT reversed
    UNION
    SELECT allocated_meter_id FROM payments
    WHERE allocated_meter_id > %(after)s AND allocated_meter_id <= %(last)s AND meter_id IS NULL
) k
WHERE {selected_meters}
  AND NOT EXISTS (SELECT FROM meter_assignments a WHERE a.meter_id = k.meter_id AND a.active);
