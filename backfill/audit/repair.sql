-- The statements of one repair, in the order in which `backfill.audit.repair` runs them: history, meters, customers.

-- name: lock_invoices
-- Lock the disagreeing invoices in key order.
SELECT invoice_id FROM invoices
WHERE invoice_id IN (SELECT row_id FROM disagreements WHERE source = 'invoices')
ORDER BY invoice_id FOR UPDATE;

-- name: lock_payments
-- Lock the disagreeing payments in key order.
SELECT payment_id FROM payments
WHERE payment_id IN (SELECT row_id FROM disagreements WHERE source = 'payments')
ORDER BY payment_id FOR UPDATE;

-- name: lock_clock
-- Lock the clock, shared: until the commit no consumer moves it. Before assignments in the order of locks.
SELECT FROM assignment_clock FOR SHARE;

-- name: lock_assignments
-- Lock the disagreeing assignments in key order.
SELECT assignment_id FROM meter_assignments
WHERE assignment_id IN (SELECT row_id FROM disagreements WHERE source = 'assignments')
ORDER BY assignment_id FOR UPDATE;

-- name: mark_invoices
-- Set the mark of each locked invoice to what counts now; the meters that the mark leaves and reaches are repaired too.
WITH marked AS (
    UPDATE invoices SET
        projected_meter_id = CASE WHEN NOT voided THEN meter_id END,
        projected_amount = CASE WHEN voided OR meter_id IS NULL THEN 0 ELSE amount END
    WHERE invoice_id IN (SELECT row_id FROM disagreements WHERE source = 'invoices')
      AND (projected_meter_id, projected_amount) IS DISTINCT FROM
          (CASE WHEN NOT voided THEN meter_id END, CASE WHEN voided OR meter_id IS NULL THEN 0 ELSE amount END)
    RETURNING old.projected_meter_id AS left_meter_id, new.projected_meter_id AS reached_meter_id
)
INSERT INTO scope (meter_id)
SELECT left_meter_id FROM marked WHERE left_meter_id IS NOT NULL
UNION
SELECT reached_meter_id FROM marked WHERE reached_meter_id IS NOT NULL;

-- name: mark_payments
-- The same for payments; the meter of its invoice is read under the payment's lock.
WITH counted AS (
    SELECT p.payment_id,
           CASE WHEN NOT p.reversed THEN coalesce(p.meter_id, i.meter_id, p.allocated_meter_id) END AS meter_id,
           CASE WHEN p.reversed OR coalesce(p.meter_id, i.meter_id, p.allocated_meter_id) IS NULL THEN 0
                ELSE p.amount END AS amount
    FROM payments p
    LEFT JOIN invoices i ON p.meter_id IS NULL AND i.invoice_id = p.invoice_id
    WHERE p.payment_id IN (SELECT row_id FROM disagreements WHERE source = 'payments')
),
marked AS (
    UPDATE payments p SET projected_meter_id = c.meter_id, projected_amount = c.amount
    FROM counted c
    WHERE p.payment_id = c.payment_id
      AND (p.projected_meter_id, p.projected_amount) IS DISTINCT FROM (c.meter_id, c.amount)
    RETURNING old.projected_meter_id AS left_meter_id, new.projected_meter_id AS reached_meter_id
)
INSERT INTO scope (meter_id)
SELECT left_meter_id FROM marked WHERE left_meter_id IS NOT NULL
UNION
SELECT reached_meter_id FROM marked WHERE reached_meter_id IS NOT NULL;

-- name: mark_assignments
-- Set `active` of each locked assignment to what its dates say as of the clock.
-- fill: in_effect
UPDATE meter_assignments a SET active = {in_effect}
WHERE a.assignment_id IN (SELECT row_id FROM disagreements WHERE source = 'assignments') AND a.active <> {in_effect};

-- name: weigh
-- What a repair of this scope is about to lock: meters, with those that the marks add; the customers of all of them;
-- and the meter rows that are read for all these customers except the one with most.
WITH meters AS (
    SELECT meter_id FROM scope UNION SELECT meter_id FROM disagreements
),
owners AS (
    SELECT customer_id FROM affected_customers
    UNION
    SELECT h.customer_id
    FROM meters s
    CROSS JOIN LATERAL (
        SELECT customer_id FROM meter_balances WHERE meter_id = s.meter_id AND customer_id IS NOT NULL
        UNION ALL
        SELECT customer_id FROM meter_assignments WHERE meter_id = s.meter_id
        OFFSET 0
    ) h
),
summed AS (
    SELECT m.meters
    FROM owners h
    CROSS JOIN LATERAL (SELECT count(*) AS meters FROM meter_balances r WHERE r.customer_id = h.customer_id) m
)
SELECT (SELECT count(*) FROM meters), count(*), coalesce(sum(meters) - max(meters), 0)::bigint FROM summed;

-- name: lock_meters
-- Lock the meter rows in key order, inserting those that are missing; an existing row is locked and not changed.
INSERT INTO meter_balances AS stored (meter_id)
SELECT DISTINCT meter_id FROM scope ORDER BY meter_id
ON CONFLICT (meter_id) DO UPDATE SET updated_at = stored.updated_at WHERE false;

-- name: add_owners
-- Add the customers that these rows name until now, and all that ever had one of the meters: a consumer that moved a
-- meter after it was compared took from its former customer what the row said, which was wrong.
INSERT INTO affected_customers (customer_id)
SELECT customer_id FROM meter_balances
WHERE meter_id IN (SELECT meter_id FROM scope) AND customer_id IS NOT NULL
UNION
SELECT a.customer_id
FROM (SELECT DISTINCT meter_id FROM scope) s
CROSS JOIN LATERAL (SELECT customer_id FROM meter_assignments WHERE meter_id = s.meter_id OFFSET 0) a;

-- name: set_meters
-- Under the locks of the meters: totals as the marks add up, the customer that the assignments name.
-- fill: assigned_customer
WITH repaired AS (
    UPDATE meter_balances r SET
        customer_id = {assigned_customer},
        total_billed = k.total_billed, total_paid = k.total_paid,
        invoice_count = k.invoice_count, payment_count = k.payment_count,
        last_invoice_date = k.last_invoice_date, last_payment_at = k.last_payment_at,
        updated_at = clock_timestamp()
    FROM marked k
    WHERE k.meter_id = r.meter_id
    RETURNING new.customer_id
)
INSERT INTO affected_customers (customer_id)
SELECT customer_id FROM repaired WHERE customer_id IS NOT NULL;

-- name: add_owners_when_compared
-- Add the customers that had one of these meters when this run compared it: their sums may rest on what its row said,
-- and a consumer that moved it since took that from them. An amended assignment leaves no other trace of them.
INSERT INTO affected_customers (customer_id)
SELECT unnest(owners) FROM drift
WHERE run_id = %(run_id)s AND entity = 'meter' AND entity_id = ANY(%(ids)s::bigint[]);

-- name: keep_separable
-- Remove from the scope the meters whose repair would write, or whose evidence would lose, what a chunk to come reads:
-- with a row of two meters, of a customer beyond those of the chunk, or of one that is shown a meter of another's.
-- fill: assigned_customer
WITH owned AS MATERIALIZED (
    SELECT s.meter_id, h.customer_id
    FROM scope s
    CROSS JOIN LATERAL (
        SELECT customer_id FROM meter_balances WHERE meter_id = s.meter_id AND customer_id IS NOT NULL
        UNION
        SELECT customer_id FROM meter_assignments WHERE meter_id = s.meter_id
        UNION
        SELECT unnest(owners) FROM drift
        WHERE run_id = %(run_id)s AND entity = 'meter' AND entity_id = s.meter_id
    ) h
),
beyond AS (
    SELECT c.customer_id
    FROM (SELECT DISTINCT customer_id FROM owned) c
    WHERE c.customer_id <> ALL(%(among)s::bigint[])
       OR EXISTS (SELECT FROM meter_balances r
                  WHERE r.customer_id = c.customer_id AND r.customer_id IS DISTINCT FROM {assigned_customer})
),
rows_of_two AS (
    SELECT source, row_id FROM disagreements GROUP BY source, row_id HAVING count(DISTINCT meter_id) > 1
)
DELETE FROM scope
WHERE meter_id IN (SELECT meter_id FROM owned JOIN beyond USING (customer_id))
   OR meter_id IN (SELECT meter_id FROM disagreements JOIN rows_of_two USING (source, row_id));

-- name: forget_other_rows
-- Forget the rows of the meters that were removed from the scope; returns the meters that are left.
WITH forgotten AS (
    DELETE FROM disagreements WHERE meter_id NOT IN (SELECT meter_id FROM scope)
)
SELECT meter_id FROM scope ORDER BY meter_id;

-- name: add_separable_customers
-- Add those of these customers under which no meter of another's is shown.
-- fill: assigned_customer
INSERT INTO affected_customers (customer_id)
SELECT c.customer_id FROM unnest(%(ids)s::bigint[]) AS c (customer_id)
WHERE NOT EXISTS (SELECT FROM meter_balances r
                  WHERE r.customer_id = c.customer_id AND r.customer_id IS DISTINCT FROM {assigned_customer});

-- name: add_customers
-- Add the customers to repair.
INSERT INTO affected_customers (customer_id) SELECT unnest(%(ids)s::bigint[]);

-- name: scope_misassigned
-- Add the meters that are shown under these customers, but that history assigns to another customer or to none; at most
-- `size`.
-- fill: assigned_customer
INSERT INTO scope (meter_id)
SELECT r.meter_id FROM meter_balances r
WHERE r.customer_id = ANY(%(ids)s::bigint[])
  AND r.customer_id IS DISTINCT FROM {assigned_customer}
LIMIT %(size)s;

-- name: any_misassigned
-- Whether a meter of the scope is still shown under these customers.
-- fill: assigned_customer
SELECT EXISTS (
    SELECT FROM scope s JOIN meter_balances r USING (meter_id)
    WHERE r.customer_id = ANY(%(ids)s::bigint[])
      AND r.customer_id IS DISTINCT FROM {assigned_customer});

-- name: lock_customers
-- Lock the customer rows in key order, inserting those that are missing.
INSERT INTO customer_balances AS stored (customer_id)
SELECT DISTINCT customer_id FROM affected_customers ORDER BY customer_id
ON CONFLICT (customer_id) DO UPDATE SET updated_at = stored.updated_at WHERE false;

-- name: set_customers
-- Under the locks of the customers: the sums over the meter rows that name each, committed or our own; returns the
-- customers whose rows changed.
UPDATE customer_balances c SET
    balance = m.balance, overpayment = m.overpayment, total_billed = m.total_billed, total_paid = m.total_paid,
    active_meters = m.active_meters, updated_at = clock_timestamp()
FROM (SELECT DISTINCT customer_id FROM affected_customers) touched
CROSS JOIN LATERAL (
    SELECT coalesce(sum(r.balance), 0) AS balance, coalesce(sum(r.overpayment), 0) AS overpayment,
           coalesce(sum(r.total_billed), 0) AS total_billed, coalesce(sum(r.total_paid), 0) AS total_paid,
           count(*) AS active_meters
    FROM meter_balances r WHERE r.customer_id = touched.customer_id
) m
WHERE c.customer_id = touched.customer_id
  AND (c.balance, c.overpayment, c.total_billed, c.total_paid, c.active_meters) IS DISTINCT FROM
      (m.balance, m.overpayment, m.total_billed, m.total_paid, m.active_meters)
RETURNING c.customer_id;

-- name: record_affected
-- Store what a limited run set beyond its selection: the next round compares it too.
INSERT INTO backfill_touched (run_id, entity, entity_id)
SELECT %(run_id)s, 'meter', meter_id FROM scope
UNION
SELECT %(run_id)s, 'customer', unnest(%(customers)s::bigint[])
ORDER BY 2, 3
ON CONFLICT DO NOTHING;
