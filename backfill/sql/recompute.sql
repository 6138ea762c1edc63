-- What history says each meter of the scope must show. Nothing here reads the projection or its marks.
-- Where a chunk's meters lie close together (`dense`) one range of each index is read, else each meter is looked up.
-- OFFSET 0 keeps a lookup a lookup: the planner knows nothing of what a temporary table holds.

-- name: scope_by_customer
-- The meters whose active customer is one of these: of several active assignments the latest wins.
INSERT INTO scope (meter_id, customer_id)
SELECT DISTINCT a.meter_id, a.customer_id
FROM meter_assignments a
CROSS JOIN LATERAL (
    SELECT w.customer_id FROM meter_assignments w
    WHERE w.meter_id = a.meter_id AND w.active
    ORDER BY w.assigned_at DESC, w.assignment_id DESC LIMIT 1
) winner
WHERE a.customer_id = ANY(%(ids)s) AND a.active AND winner.customer_id = a.customer_id;

-- name: scope_by_meter
-- These very meters, each with its active customer, if any.
INSERT INTO scope (meter_id, customer_id)
SELECT asked.meter_id, winner.customer_id
FROM unnest(%(ids)s::bigint[]) AS asked (meter_id)
LEFT JOIN LATERAL (
    SELECT w.customer_id FROM meter_assignments w
    WHERE w.meter_id = asked.meter_id AND w.active
    ORDER BY w.assigned_at DESC, w.assignment_id DESC LIMIT 1
) winner ON true;

-- name: expect_meters
-- Recompute. A payment without a meter of its own takes its invoice's, voided or not, else an allocated one.
INSERT INTO expected_meters (
    meter_id, customer_id, total_billed, total_paid, invoice_count, payment_count, last_invoice_date, last_payment_at)
WITH counted_invoices AS MATERIALIZED (
    SELECT i.meter_id, i.invoice_id, i.amount, i.invoice_date
    FROM scope s
    CROSS JOIN LATERAL (SELECT * FROM invoices WHERE meter_id = s.meter_id AND NOT voided OFFSET 0) i
    WHERE NOT %(dense)s
    UNION ALL
    SELECT meter_id, invoice_id, amount, invoice_date
    FROM invoices
    WHERE NOT voided AND meter_id BETWEEN %(low)s AND %(high)s AND %(dense)s
),
voided_invoices AS (
    SELECT i.meter_id, i.invoice_id
    FROM scope s
    CROSS JOIN LATERAL (SELECT * FROM invoices WHERE meter_id = s.meter_id AND voided OFFSET 0) i
    WHERE NOT %(dense)s
    UNION ALL
    SELECT meter_id, invoice_id
    FROM invoices
    WHERE voided AND meter_id BETWEEN %(low)s AND %(high)s AND %(dense)s
),
counted_payments AS (
    SELECT p.meter_id, p.amount, p.paid_at
    FROM scope s
    CROSS JOIN LATERAL (SELECT * FROM payments WHERE meter_id = s.meter_id AND NOT reversed OFFSET 0) p
    WHERE NOT %(dense)s
    UNION ALL
    SELECT meter_id, amount, paid_at
    FROM payments
    WHERE NOT reversed AND meter_id BETWEEN %(low)s AND %(high)s AND %(dense)s
    UNION ALL
    SELECT i.meter_id, p.amount, p.paid_at
    FROM (
        SELECT meter_id, invoice_id FROM counted_invoices
        UNION ALL
        SELECT meter_id, invoice_id FROM voided_invoices
    ) i
    CROSS JOIN LATERAL (
        SELECT * FROM payments WHERE invoice_id = i.invoice_id AND meter_id IS NULL AND NOT reversed OFFSET 0
    ) p
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
)
SELECT s.meter_id, s.customer_id, coalesce(b.total, 0), coalesce(p.total, 0), coalesce(b.rows, 0), coalesce(p.rows, 0),
       b.latest, p.latest
FROM scope s
LEFT JOIN billed b USING (meter_id)
LEFT JOIN paid p USING (meter_id);

-- name: bound_scope
-- The least and the greatest meter of the scope.
SELECT count(*), min(meter_id), max(meter_id) FROM scope;
