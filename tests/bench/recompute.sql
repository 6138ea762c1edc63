-- The whole recomputation and comparison as an analyst would write it: aggregate history, join, compare.
-- Yields how many meters and how many customers differ in any column.
WITH active AS (
    SELECT DISTINCT ON (meter_id) meter_id, customer_id
    FROM meter_assignments
    WHERE active
    ORDER BY meter_id, assigned_at DESC, assignment_id DESC
),
counted_payments AS (
    SELECT meter_id, amount, paid_at
    FROM payments
    WHERE NOT reversed AND meter_id IS NOT NULL
    UNION ALL
    SELECT coalesce(i.meter_id, p.allocated_meter_id), p.amount, p.paid_at
    FROM payments p
    LEFT JOIN invoices i USING (invoice_id)
    WHERE NOT p.reversed AND p.meter_id IS NULL AND coalesce(i.meter_id, p.allocated_meter_id) IS NOT NULL
),
billed AS (
    SELECT meter_id, sum(amount) AS total, count(*) AS invoices, max(invoice_date) AS latest
    FROM invoices
    WHERE NOT voided AND meter_id IS NOT NULL
    GROUP BY meter_id
),
paid AS (
    SELECT meter_id, sum(amount) AS total, count(*) AS payments, max(paid_at) AS latest
    FROM counted_payments
    GROUP BY meter_id
),
expected_meters AS (
    SELECT meter_id, a.customer_id,
           coalesce(b.total, 0) AS total_billed, coalesce(p.total, 0) AS total_paid,
           greatest(coalesce(b.total, 0) - coalesce(p.total, 0), 0) AS balance,
           greatest(coalesce(p.total, 0) - coalesce(b.total, 0), 0) AS overpayment,
           coalesce(b.invoices, 0) AS invoices, coalesce(p.payments, 0) AS payments,
           b.latest AS last_invoice_date, p.latest AS last_payment_at
    FROM billed b
    FULL JOIN paid p USING (meter_id)
    FULL JOIN active a USING (meter_id)
),
meters_off AS (
    SELECT count(*) AS n
    FROM expected_meters e
    FULL JOIN meter_balances m USING (meter_id)
    WHERE (e.customer_id, coalesce(e.total_billed, 0), coalesce(e.total_paid, 0), coalesce(e.balance, 0),
           coalesce(e.overpayment, 0), coalesce(e.invoices, 0), coalesce(e.payments, 0),
           e.last_invoice_date, e.last_payment_at)
       IS DISTINCT FROM
          (m.customer_id, coalesce(m.total_billed, 0), coalesce(m.total_paid, 0), coalesce(m.balance, 0),
           coalesce(m.overpayment, 0), coalesce(m.invoice_count, 0), coalesce(m.payment_count, 0),
           m.last_invoice_date, m.last_payment_at)
),
expected_customers AS (
    SELECT customer_id, sum(balance) AS balance, sum(overpayment) AS overpayment,
           sum(total_billed) AS total_billed, sum(total_paid) AS total_paid, count(*) AS meters
    FROM expected_meters
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id
),
customers_off AS (
    SELECT count(*) AS n
    FROM expected_customers e
    FULL JOIN customer_balances c USING (customer_id)
    WHERE (coalesce(e.balance, 0), coalesce(e.overpayment, 0), coalesce(e.total_billed, 0),
           coalesce(e.total_paid, 0), coalesce(e.meters, 0))
       IS DISTINCT FROM
          (coalesce(c.balance, 0), coalesce(c.overpayment, 0), coalesce(c.total_billed, 0),
           coalesce(c.total_paid, 0), coalesce(c.active_meters, 0))
)
SELECT meters_off.n, customers_off.n FROM meters_off CROSS JOIN customers_off
