-- What history says each meter of a scope must show. Nothing here reads the projection or its marks.
-- Where a chunk's meters lie close together one range of each index is read, else each meter is looked up. OFFSET 0
-- keeps a lookup a lookup: as a join of whole tables, which the planner prefers, it would cost each chunk the size of
-- the database.
--
-- A statement that needs expected figures is put together from `scope`, one of `rows_in_range` and `rows_by_lookup`,
-- `recomputed`, and what is to be done with them.

-- name: bound_meters
-- Between which keys the meters lie that are assigned to these customers, and how many there are.
SELECT count(*), min(meter_id), max(meter_id)
FROM meter_assignments
WHERE customer_id = ANY(%(ids)s::bigint[]) AND active;

-- name: scope_in_range
-- The meters whose active customer is one of these: of several active assignments the latest wins.
WITH winners AS (
    SELECT DISTINCT ON (meter_id) meter_id, customer_id
    FROM meter_assignments
    WHERE active AND meter_id BETWEEN %(low)s AND %(high)s
    ORDER BY meter_id, assigned_at DESC, assignment_id DESC
)
SELECT array_agg(meter_id), array_agg(customer_id)
FROM winners
WHERE customer_id = ANY(%(ids)s::bigint[]);

-- name: scope_by_lookup
-- The same, meter by meter.
SELECT array_agg(meter_id), array_agg(customer_id)
FROM (
    SELECT DISTINCT a.meter_id, a.customer_id
    FROM meter_assignments a
    CROSS JOIN LATERAL (
        SELECT w.customer_id FROM meter_assignments w
        WHERE w.meter_id = a.meter_id AND w.active
        ORDER BY w.assigned_at DESC, w.assignment_id DESC LIMIT 1
    ) winner
    WHERE a.customer_id = ANY(%(ids)s::bigint[]) AND a.active AND winner.customer_id = a.customer_id
) owned;

-- name: scope_of_meters
-- These very meters, each with its active customer, if any.
SELECT array_agg(asked.meter_id), array_agg(winner.customer_id)
FROM unnest(%(ids)s::bigint[]) AS asked (meter_id)
LEFT JOIN LATERAL (
    SELECT w.customer_id FROM meter_assignments w
    WHERE w.meter_id = asked.meter_id AND w.active
    ORDER BY w.assigned_at DESC, w.assignment_id DESC LIMIT 1
) winner ON true;

-- name: scope
-- The meters of a chunk, each with the customer that history gives it.
WITH scope AS (
    SELECT meter_id, customer_id
    FROM unnest(%(meters)s::bigint[], %(owners)s::bigint[]) AS s (meter_id, customer_id)
),

-- name: rows_in_range
-- The rows of the meters between the scope's first and last; those of other meters fall out of the join with it.
counted_invoices AS NOT MATERIALIZED (
    SELECT meter_id, invoice_id, amount, invoice_date
    FROM invoices
    WHERE NOT voided AND meter_id BETWEEN %(low)s AND %(high)s
),
voided_invoices AS NOT MATERIALIZED (
    SELECT meter_id, invoice_id
    FROM invoices
    WHERE voided AND meter_id BETWEEN %(low)s AND %(high)s
),
own_payments AS NOT MATERIALIZED (
    SELECT meter_id, amount, paid_at
    FROM payments
    WHERE NOT reversed AND meter_id BETWEEN %(low)s AND %(high)s
),
recorded_meters AS NOT MATERIALIZED (
    SELECT * FROM meter_balances WHERE meter_id BETWEEN %(low)s AND %(high)s
),

-- name: rows_by_lookup
-- The same, meter by meter.
counted_invoices AS NOT MATERIALIZED (
    SELECT i.meter_id, i.invoice_id, i.amount, i.invoice_date
    FROM scope s
    CROSS JOIN LATERAL (SELECT * FROM invoices WHERE meter_id = s.meter_id AND NOT voided OFFSET 0) i
),
voided_invoices AS NOT MATERIALIZED (
    SELECT i.meter_id, i.invoice_id
    FROM scope s
    CROSS JOIN LATERAL (SELECT * FROM invoices WHERE meter_id = s.meter_id AND voided OFFSET 0) i
),
own_payments AS NOT MATERIALIZED (
    SELECT p.meter_id, p.amount, p.paid_at
    FROM scope s
    CROSS JOIN LATERAL (SELECT * FROM payments WHERE meter_id = s.meter_id AND NOT reversed OFFSET 0) p
),
recorded_meters AS NOT MATERIALIZED (
    SELECT m.*
    FROM scope s
    CROSS JOIN LATERAL (SELECT * FROM meter_balances m WHERE m.meter_id = s.meter_id OFFSET 0) m
),

-- name: recomputed
-- Money is unbounded here: a sum too large for the projection must be found and told, not end the check. A payment
-- without a meter of its own takes its invoice's, voided or not, else an allocated one.
counted_payments AS (
    SELECT meter_id, amount, paid_at FROM own_payments
    UNION ALL
    SELECT i.meter_id, p.amount, p.paid_at
    FROM (
        SELECT meter_id, invoice_id FROM counted_invoices
        UNION ALL
        SELECT meter_id, invoice_id FROM voided_invoices
    ) i
    JOIN payments p ON p.invoice_id = i.invoice_id AND p.meter_id IS NULL AND NOT p.reversed
    WHERE EXISTS (SELECT FROM payments WHERE meter_id IS NULL AND invoice_id IS NOT NULL)
    UNION ALL
    SELECT p.allocated_meter_id, p.amount, p.paid_at
    FROM scope s
    CROSS JOIN LATERAL (
        SELECT * FROM payments WHERE allocated_meter_id = s.meter_id AND meter_id IS NULL AND NOT reversed OFFSET 0
    ) p
    WHERE NOT EXISTS (SELECT FROM invoices i WHERE i.invoice_id = p.invoice_id AND i.meter_id IS NOT NULL)
      AND EXISTS (SELECT FROM payments WHERE meter_id IS NULL AND allocated_meter_id IS NOT NULL)
),
billed AS (
    SELECT meter_id, sum(amount) AS total, count(*) AS rows, max(invoice_date) AS latest
    FROM counted_invoices GROUP BY meter_id
),
paid AS (
    SELECT meter_id, sum(amount) AS total, count(*) AS rows, max(paid_at) AS latest
    FROM counted_payments GROUP BY meter_id
),
recomputed AS (
    SELECT s.meter_id, s.customer_id,
           coalesce(b.total, 0) AS total_billed, coalesce(p.total, 0) AS total_paid,
           greatest(coalesce(b.total, 0) - coalesce(p.total, 0), 0) AS balance,
           greatest(coalesce(p.total, 0) - coalesce(b.total, 0), 0) AS overpayment,
           coalesce(b.rows, 0) AS invoice_count, coalesce(p.rows, 0) AS payment_count,
           b.latest AS last_invoice_date, p.latest AS last_payment_at
    FROM scope s
    LEFT JOIN billed b USING (meter_id)
    LEFT JOIN paid p USING (meter_id)
)
