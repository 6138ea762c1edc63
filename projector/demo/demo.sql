-- What `projector demo` reads from the database, and what it does to rows by hand to be found out by the auditor.

-- name: applied
-- How many messages the consumer has applied.
SELECT coalesce(sum(next_offset), 0) AS messages FROM positions;

-- name: totals
-- All of it in one row.
SELECT
    (SELECT count(*) FROM customers) AS customers, (SELECT count(*) FROM meter_balances) AS meters,
    (SELECT count(*) FROM invoices) AS invoices, (SELECT count(*) FROM payments) AS payments,
    sum(total_billed) AS billed, sum(total_paid) AS paid, sum(balance) AS balance, sum(overpayment) AS overpayment
FROM customer_balances;

-- name: fingerprint
-- One checksum over both projection tables, the time of the last change left out.
SELECT md5(string_agg(line, '' ORDER BY line)) AS md5
FROM (
    SELECT (to_jsonb(m) - 'updated_at')::text AS line FROM meter_balances m
    UNION ALL
    SELECT (to_jsonb(c) - 'updated_at')::text FROM customer_balances c
) rows;

-- name: customer_to_show
-- Two meters, one that owes and one that has paid too much, with some payment on both.
SELECT c.customer_id, h.name, c.balance, c.overpayment
FROM customer_balances c
JOIN customers h USING (customer_id)
JOIN meter_balances m USING (customer_id)
WHERE c.active_meters = 2 AND c.balance > 0 AND c.overpayment > 0
GROUP BY c.customer_id, h.name
HAVING min(m.payment_count) > 0
ORDER BY sum(m.invoice_count + m.payment_count), c.customer_id
LIMIT 1;

-- name: entries_of_customer
-- What counts for the meters of a customer. A payment without a meter counts where its invoice does.
SELECT m.meter_id, i.invoice_date AS day, 'invoice' AS kind, i.invoice_id AS entry_id, i.amount AS billed, 0 AS paid
FROM meter_balances m
JOIN invoices i ON i.meter_id = m.meter_id AND NOT i.voided
WHERE m.customer_id = %(customer_id)s
UNION ALL
SELECT m.meter_id, (p.paid_at AT TIME ZONE 'Africa/Nairobi')::date, 'payment', p.payment_id, 0, p.amount
FROM meter_balances m
JOIN payments p ON NOT p.reversed
    AND m.meter_id = coalesce(p.meter_id, (SELECT i.meter_id FROM invoices i WHERE i.invoice_id = p.invoice_id))
WHERE m.customer_id = %(customer_id)s
ORDER BY meter_id, day, kind, entry_id;

-- name: choose_victims
-- One meter of each of the first customers, with an invoice and a payment that count there by their own meter id. No
-- meter that is about to change hands, and no invoice that payments follow: each injection shall have one cause.
SELECT DISTINCT ON (m.customer_id) m.meter_id, m.customer_id, i.invoice_id, p.payment_id
FROM meter_balances m
CROSS JOIN LATERAL (
    SELECT c.invoice_id FROM invoices c
    WHERE c.meter_id = m.meter_id AND NOT c.voided AND c.amount > 0
      AND NOT EXISTS (SELECT FROM payments f WHERE f.invoice_id = c.invoice_id AND f.meter_id IS NULL)
    ORDER BY c.invoice_id LIMIT 1
) i
CROSS JOIN LATERAL (
    SELECT c.payment_id FROM payments c
    WHERE c.meter_id = m.meter_id AND NOT c.reversed
    ORDER BY c.payment_id LIMIT 1
) p
WHERE m.customer_id IS NOT NULL AND m.meter_id <> ALL (%(moving)s)
ORDER BY m.customer_id, m.meter_id
LIMIT %(count)s;

-- name: edit_meter
-- A figure of the projection, raised.
UPDATE meter_balances SET total_billed = total_billed + %(amount)s WHERE meter_id = %(meter_id)s;

-- name: edit_customer
-- A figure of the projection, raised.
UPDATE customer_balances SET balance = balance + %(amount)s WHERE customer_id = %(customer_id)s;

-- name: edit_invoice
-- History rewritten.
UPDATE invoices SET amount = amount + %(amount)s WHERE invoice_id = %(invoice_id)s;

-- name: move_invoice
-- History rewritten: the invoice is another meter's now.
UPDATE invoices SET meter_id = %(meter_id)s WHERE invoice_id = %(invoice_id)s RETURNING amount;

-- name: delete_payment
-- History lost.
DELETE FROM payments WHERE payment_id = %(payment_id)s RETURNING amount;

-- name: reassign_meter
-- A meter given to another customer without an event.
UPDATE meter_assignments SET customer_id = %(customer_id)s WHERE meter_id = %(meter_id)s AND active
RETURNING assignment_id;
