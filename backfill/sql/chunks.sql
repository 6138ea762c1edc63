-- Which keys a chunk covers. Both phases page on immutable keys, each beginning after the last key of the one before.

-- name: next_customers
-- The next customers in key order: whoever has or had a meter, and whoever the projection shows.
SELECT customer_id
FROM (
    (SELECT DISTINCT customer_id FROM meter_assignments
     WHERE customer_id > %(after)s ORDER BY customer_id LIMIT %(size)s)
    UNION
    (SELECT customer_id FROM customer_balances WHERE customer_id > %(after)s ORDER BY customer_id LIMIT %(size)s)
) known
ORDER BY customer_id
LIMIT %(size)s;

-- name: count_customers
-- How many there are, for a progress bar.
SELECT count(*)
FROM (SELECT customer_id FROM meter_assignments UNION SELECT customer_id FROM customer_balances) known;

-- name: count_left
-- How many customers and meters a check has still before it, for its pace.
SELECT CASE WHEN %(phase)s = 'customers' THEN (
           SELECT count(*)
           FROM (SELECT customer_id FROM meter_assignments WHERE customer_id > %(after)s
                 UNION SELECT customer_id FROM customer_balances WHERE customer_id > %(after)s) known)
       ELSE 0 END AS customers,
       CASE %(phase)s WHEN 'customers' THEN (SELECT count(*) FROM meter_balances)
                      WHEN 'meters' THEN (SELECT count(*) FROM meter_balances WHERE meter_id > %(after)s)
       ELSE 0 END AS meters;

-- name: next_meter
-- Where a window of meter keys ends: so many keys further in the projection or, once that has no more, so many rows
-- further in history. Null: nothing is left. Any end would do; this one keeps windows alike in size.
SELECT coalesce(
    (SELECT meter_id FROM meter_balances WHERE meter_id > %(after)s ORDER BY meter_id OFFSET %(rows)s LIMIT 1),
    (SELECT meter_id FROM invoices WHERE meter_id > %(after)s AND NOT voided
     ORDER BY meter_id OFFSET %(rows)s LIMIT 1),
    (SELECT meter_id FROM payments WHERE meter_id > %(after)s AND NOT reversed
     ORDER BY meter_id OFFSET %(rows)s LIMIT 1));

-- name: scope_unassigned
-- The meters of a window that history gives no active customer: they are compared on their own.
SELECT array_agg(meter_id), array_agg(NULL::bigint)
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
) known
WHERE NOT EXISTS (SELECT FROM meter_assignments a WHERE a.meter_id = known.meter_id AND a.active);
