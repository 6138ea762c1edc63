-- Copies of the balances, each the rows of one migration's run, and their restore. They are in tables of the schema's
-- owner: a restore reads nothing that another role could have created, only rows that it could have written (see
-- SECURITY.md).

-- name: begin_backup
-- One for a run; rows without it are never read.
INSERT INTO backups (run_id) VALUES (%(run_id)s);

-- name: back_up_meters
-- All meters, as of the transaction's snapshot.
INSERT INTO backup_meter_balances (
    run_id, meter_id, customer_id, total_billed, total_paid, invoice_count, payment_count, last_invoice_date,
    last_payment_at)
SELECT %(run_id)s, meter_id, customer_id, total_billed, total_paid, invoice_count, payment_count, last_invoice_date,
       last_payment_at
FROM meter_balances;

-- name: back_up_customers
-- All customers, as of the same snapshot.
INSERT INTO backup_customer_balances (
    run_id, customer_id, balance, overpayment, total_billed, total_paid, active_meters)
SELECT %(run_id)s, customer_id, balance, overpayment, total_billed, total_paid, active_meters
FROM customer_balances;

-- name: backup_exists
-- Whether a run made a backup; an empty one counts.
SELECT EXISTS (SELECT FROM backups WHERE run_id = %(run_id)s);

-- name: next_meters_to_restore
-- The next meters that are shown now or were shown then, in key order.
SELECT meter_id FROM (
    (SELECT meter_id FROM meter_balances WHERE meter_id > %(after)s ORDER BY meter_id LIMIT %(size)s)
    UNION
    (SELECT meter_id FROM backup_meter_balances
     WHERE run_id = %(run_id)s AND meter_id > %(after)s ORDER BY meter_id LIMIT %(size)s)
) known
ORDER BY meter_id LIMIT %(size)s;

-- name: next_customers_to_restore
-- The same for customers.
SELECT customer_id FROM (
    (SELECT customer_id FROM customer_balances WHERE customer_id > %(after)s ORDER BY customer_id LIMIT %(size)s)
    UNION
    (SELECT customer_id FROM backup_customer_balances
     WHERE run_id = %(run_id)s AND customer_id > %(after)s ORDER BY customer_id LIMIT %(size)s)
) known
ORDER BY customer_id LIMIT %(size)s;

-- name: count_meters_to_restore
-- How many of these meters differ from then; a missing row equals a row of zeros.
SELECT count(*)
FROM unnest(%(ids)s::bigint[]) AS asked (meter_id)
LEFT JOIN meter_balances m ON m.meter_id = asked.meter_id
LEFT JOIN backup_meter_balances b ON b.run_id = %(run_id)s AND b.meter_id = asked.meter_id
WHERE (m.customer_id, coalesce(m.total_billed, 0), coalesce(m.total_paid, 0), coalesce(m.invoice_count, 0),
       coalesce(m.payment_count, 0), m.last_invoice_date, m.last_payment_at)
      IS DISTINCT FROM
      (b.customer_id, coalesce(b.total_billed, 0), coalesce(b.total_paid, 0), coalesce(b.invoice_count, 0),
       coalesce(b.payment_count, 0), b.last_invoice_date, b.last_payment_at);

-- name: count_customers_to_restore
-- The same for customers.
SELECT count(*)
FROM unnest(%(ids)s::bigint[]) AS asked (customer_id)
LEFT JOIN customer_balances c ON c.customer_id = asked.customer_id
LEFT JOIN backup_customer_balances b ON b.run_id = %(run_id)s AND b.customer_id = asked.customer_id
WHERE (coalesce(c.balance, 0), coalesce(c.overpayment, 0), coalesce(c.total_billed, 0), coalesce(c.total_paid, 0),
       coalesce(c.active_meters, 0))
      IS DISTINCT FROM
      (coalesce(b.balance, 0), coalesce(b.overpayment, 0), coalesce(b.total_billed, 0), coalesce(b.total_paid, 0),
       coalesce(b.active_meters, 0));

-- name: restore_meters
-- Under the locks of the meters. A meter that did not exist then is set to zeros, which equals a missing row: a
-- consumer that is about to add to it finds its row.
UPDATE meter_balances m SET
    customer_id = b.customer_id,
    total_billed = coalesce(b.total_billed, 0), total_paid = coalesce(b.total_paid, 0),
    invoice_count = coalesce(b.invoice_count, 0), payment_count = coalesce(b.payment_count, 0),
    last_invoice_date = b.last_invoice_date, last_payment_at = b.last_payment_at,
    updated_at = clock_timestamp()
FROM unnest(%(ids)s::bigint[]) AS asked (meter_id)
LEFT JOIN backup_meter_balances b ON b.run_id = %(run_id)s AND b.meter_id = asked.meter_id
WHERE m.meter_id = asked.meter_id
  AND (m.customer_id, m.total_billed, m.total_paid, m.invoice_count, m.payment_count, m.last_invoice_date,
       m.last_payment_at)
      IS DISTINCT FROM
      (b.customer_id, coalesce(b.total_billed, 0), coalesce(b.total_paid, 0), coalesce(b.invoice_count, 0),
       coalesce(b.payment_count, 0), b.last_invoice_date, b.last_payment_at);

-- name: restore_customers
-- Under the locks of the customers, in the same way.
UPDATE customer_balances c SET
    balance = coalesce(b.balance, 0), overpayment = coalesce(b.overpayment, 0),
    total_billed = coalesce(b.total_billed, 0), total_paid = coalesce(b.total_paid, 0),
    active_meters = coalesce(b.active_meters, 0), updated_at = clock_timestamp()
FROM unnest(%(ids)s::bigint[]) AS asked (customer_id)
LEFT JOIN backup_customer_balances b ON b.run_id = %(run_id)s AND b.customer_id = asked.customer_id
WHERE c.customer_id = asked.customer_id
  AND (c.balance, c.overpayment, c.total_billed, c.total_paid, c.active_meters)
      IS DISTINCT FROM
      (coalesce(b.balance, 0), coalesce(b.overpayment, 0), coalesce(b.total_billed, 0), coalesce(b.total_paid, 0),
       coalesce(b.active_meters, 0));
