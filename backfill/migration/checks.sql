-- One statement for each check: how many rows it finds, and the first of them by key. Each statement sees one moment
-- and locks nothing.

-- name: payments_without_meter
-- Payments that count nowhere although they are not reversed.
WITH found AS MATERIALIZED (
    SELECT p.payment_id AS id FROM payments p
    WHERE p.meter_id IS NULL AND p.allocated_meter_id IS NULL AND NOT p.reversed
      AND NOT EXISTS (SELECT FROM invoices i WHERE i.invoice_id = p.invoice_id AND i.meter_id IS NOT NULL)
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: invoices_without_meter
-- Invoices that count nowhere although they are not voided.
WITH found AS MATERIALIZED (
    SELECT invoice_id AS id FROM invoices WHERE meter_id IS NULL AND NOT voided
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: orphan_meters
-- Meters that owe or are owed money, and have no active customer.
-- fill: in_effect
WITH found AS MATERIALIZED (
    SELECT m.meter_id AS id FROM meter_balances m
    WHERE (m.balance <> 0 OR m.overpayment <> 0)
      AND NOT EXISTS (SELECT FROM meter_assignments a WHERE a.meter_id = m.meter_id AND {in_effect})
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: several_active_assignments
-- Active assignments that another one of the same meter overrides.
-- fill: in_effect
WITH active AS MATERIALIZED (
    SELECT a.assignment_id, row_number() OVER (
        PARTITION BY a.meter_id ORDER BY a.assigned_at DESC, a.assignment_id DESC) AS place
    FROM meter_assignments a WHERE {in_effect}
),
found AS MATERIALIZED (
    SELECT assignment_id AS id FROM active WHERE place > 1
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: assignments_to_unknown_customers
-- Assignments to customers that do not exist.
WITH found AS MATERIALIZED (
    SELECT a.assignment_id AS id FROM meter_assignments a
    WHERE NOT EXISTS (SELECT FROM customers c WHERE c.customer_id = a.customer_id)
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: customers_against_meters
-- Customers whose row differs from the sum of the meter rows that name them; a missing row equals a row of zeros.
WITH summed AS (
    SELECT customer_id, sum(balance) AS balance, sum(overpayment) AS overpayment, sum(total_billed) AS total_billed,
           sum(total_paid) AS total_paid, count(*) AS active_meters
    FROM meter_balances WHERE customer_id IS NOT NULL GROUP BY customer_id
),
found AS MATERIALIZED (
    SELECT coalesce(c.customer_id, s.customer_id) AS id
    FROM customer_balances c
    FULL JOIN summed s ON s.customer_id = c.customer_id
    WHERE (coalesce(c.balance, 0), coalesce(c.overpayment, 0), coalesce(c.total_billed, 0),
           coalesce(c.total_paid, 0), coalesce(c.active_meters, 0))
          IS DISTINCT FROM
          (coalesce(s.balance, 0), coalesce(s.overpayment, 0), coalesce(s.total_billed, 0),
           coalesce(s.total_paid, 0), coalesce(s.active_meters, 0))
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: impossible_meters
-- Meters with impossible figures: a negative payment total or count, money without a row.
WITH found AS MATERIALIZED (
    SELECT meter_id AS id FROM meter_balances
    WHERE total_paid < 0 OR invoice_count < 0 OR payment_count < 0
       OR (invoice_count = 0 AND total_billed <> 0) OR (payment_count = 0 AND total_paid <> 0)
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: impossible_customers
-- Customers with impossible figures: a negative balance, overpayment or number of meters, money without a meter.
WITH found AS MATERIALIZED (
    SELECT customer_id AS id FROM customer_balances
    WHERE balance < 0 OR overpayment < 0 OR active_meters < 0 OR total_paid < 0
       OR (active_meters = 0 AND (balance, overpayment, total_billed, total_paid) <> (0, 0, 0, 0))
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: impossible_payments
-- Payments of zero or less.
WITH found AS MATERIALIZED (
    SELECT payment_id AS id FROM payments WHERE amount <= 0
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: payments_of_voided_invoices
-- Payments that count, of an invoice that does not.
WITH found AS MATERIALIZED (
    SELECT p.payment_id AS id
    FROM payments p JOIN invoices i ON i.invoice_id = p.invoice_id
    WHERE i.voided AND NOT p.reversed
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: invoices_that_share_a_number
-- Invoices that are not voided, and whose number stands on another such invoice, too.
WITH shared AS (
    SELECT invoice_number FROM invoices
    WHERE NOT voided AND btrim(invoice_number) <> ''
    GROUP BY invoice_number HAVING count(*) > 1
),
found AS MATERIALIZED (
    SELECT i.invoice_id AS id FROM invoices i JOIN shared s ON s.invoice_number = i.invoice_number
    WHERE NOT i.voided
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: stray_invoices
-- Invoices in another currency than the deployment's, counted as if they were in it.
WITH found AS MATERIALIZED (
    SELECT invoice_id AS id FROM invoices WHERE currency <> %(currency)s
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: stray_payments
-- The same for payments.
WITH found AS MATERIALIZED (
    SELECT payment_id AS id FROM payments WHERE currency <> %(currency)s
)
SELECT (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT %(ids_max)s);

-- name: drifted_meters_of_run
-- The meters that a drift check found, the first of them by key.
SELECT ARRAY(
    SELECT DISTINCT entity_id FROM drift
    WHERE run_id = %(run_id)s AND entity = 'meter' ORDER BY entity_id LIMIT %(ids_max)s);
