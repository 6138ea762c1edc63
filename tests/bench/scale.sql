-- History and a projection that agrees with it, as large as asked: two meters a customer, five invoices and five
-- payments a meter, month after month. Plain SQL that shares nothing with the projector, whose own speed is measured
-- elsewhere.

-- name: customers
INSERT INTO customers (customer_id, name) SELECT n, 'Customer ' || n FROM generate_series(1, %(customers)s) n;

-- name: assignments
INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at)
SELECT n, n, (n + 1) / 2, '2025-01-01' FROM generate_series(1, 2 * %(customers)s) n;

-- name: invoices
INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date, source_partition, source_offset,
                      projected_amount, projected_meter_id)
SELECT 2 * %(customers)s * month + meter_id, meter_id, amount, 'KES', date '2025-01-31' + 30 * month, 0, meter_id,
       amount, meter_id
FROM generate_series(0, 4) month
CROSS JOIN generate_series(1, 2 * %(customers)s) meter_id
CROSS JOIN LATERAL (SELECT (meter_id * 7 + month * 13) %% 5000 + 0.25 AS amount) a;

-- name: payments
INSERT INTO payments (payment_id, meter_id, amount, currency, paid_at, source_partition, source_offset,
                      projected_amount, projected_meter_id)
SELECT 2 * %(customers)s * month + meter_id, meter_id, amount, 'KES',
       timestamptz '2025-02-10' + month * interval '30 days', 0, meter_id, amount, meter_id
FROM generate_series(0, 4) month
CROSS JOIN generate_series(1, 2 * %(customers)s) meter_id
CROSS JOIN LATERAL (SELECT (meter_id * 11 + month * 17) %% 5000 + 0.50 AS amount) a;

-- name: meter_balances
INSERT INTO meter_balances (meter_id, customer_id, total_billed, total_paid, invoice_count, payment_count,
                            last_invoice_date, last_payment_at)
SELECT meter_id, (meter_id + 1) / 2, i.total, p.total, i.rows, p.rows, i.latest, p.latest
FROM (SELECT meter_id, sum(amount) AS total, count(*) AS rows, max(invoice_date) AS latest
      FROM invoices GROUP BY meter_id) i
JOIN (SELECT meter_id, sum(amount) AS total, count(*) AS rows, max(paid_at) AS latest
      FROM payments GROUP BY meter_id) p USING (meter_id);

-- name: customer_balances
INSERT INTO customer_balances (customer_id, balance, overpayment, total_billed, total_paid, active_meters)
SELECT customer_id, sum(balance), sum(overpayment), sum(total_billed), sum(total_paid), count(*)
FROM meter_balances GROUP BY customer_id;

-- name: secondary_indexes
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = current_schema() AND tablename IN ('invoices', 'payments', 'meter_assignments', 'meter_balances')
  AND indexname NOT LIKE '%%_pkey';

-- name: damage
-- A thousandth of the meters is raised, and as many invoices are made dearer.
WITH meters AS (UPDATE meter_balances SET total_billed = total_billed + 1 WHERE meter_id %% 1000 = 1)
UPDATE invoices SET amount = amount + 1 WHERE invoice_id %% 5000 = 7;
