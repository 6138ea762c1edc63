-- The statements of one batch, in the order in which `projector.consume.merge.apply_staged` runs them.

-- name: stage_invoice_locks
-- A payment without a meter counts for its invoice's meter. Lock that invoice, whether it exists or not: a consumer that
-- inserts or moves it meanwhile waits for us and then finds our payment, or we wait for it and then read its meter.
INSERT INTO staged_invoices (invoice_id, version, event_id, amount, currency, invoice_date, voided)
SELECT DISTINCT p.invoice_id, 0, '', 0, '', DATE '0001-01-01', true
FROM staged_payments p
WHERE p.meter_id IS NULL
  AND p.invoice_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM staged_invoices i WHERE i.invoice_id = p.invoice_id);

-- name: merge_invoices
-- Replace an invoice only by a greater (version, event id), or by an equal one at a lower offset, so that the order of
-- arrival does not matter; record what meters lost and gained. Also return the places of each conflict, the new row's and
-- the old one's, and the invoices whose payments are to be searched for: new ones, and those whose meter changed. Voiding
-- an invoice moves none of its payments. If `projected_meter_id` does not match the old row, somebody edited that row
-- outside the stream: its payments are searched for, too.
WITH merged AS (
    INSERT INTO invoices AS stored (
        invoice_id, version, event_id, meter_id, customer_id, amount, balance_brought_forward, currency,
        invoice_date, due_date, invoice_number, lines, voided, source_partition, source_offset,
        projected_amount, projected_meter_id)
    SELECT invoice_id, version, event_id, meter_id, customer_id, amount, balance_brought_forward, currency,
           invoice_date, due_date, invoice_number, lines, voided, source_partition, source_offset,
           CASE WHEN voided OR meter_id IS NULL THEN 0 ELSE amount END,
           CASE WHEN NOT voided THEN meter_id END
    FROM staged_invoices
    ORDER BY invoice_id
    ON CONFLICT (invoice_id) DO UPDATE SET
        version = excluded.version, event_id = excluded.event_id,
        meter_id = excluded.meter_id, customer_id = excluded.customer_id,
        amount = excluded.amount, balance_brought_forward = excluded.balance_brought_forward,
        currency = excluded.currency, invoice_date = excluded.invoice_date, due_date = excluded.due_date,
        invoice_number = excluded.invoice_number, lines = excluded.lines, voided = excluded.voided,
        source_partition = excluded.source_partition, source_offset = excluded.source_offset,
        projected_amount = excluded.projected_amount, projected_meter_id = excluded.projected_meter_id
    WHERE (excluded.version, excluded.event_id, stored.source_partition, stored.source_offset)
        > (stored.version, stored.event_id, excluded.source_partition, excluded.source_offset)
    RETURNING
        new.invoice_id, new.version,
        new.version > 0 AND (
            old.invoice_id IS NULL
            OR old.meter_id IS DISTINCT FROM new.meter_id
            OR old.projected_meter_id IS DISTINCT FROM CASE WHEN NOT old.voided THEN old.meter_id END) AS moved,
        CASE WHEN old.version = new.version AND
        (old.meter_id, old.customer_id, old.amount, old.balance_brought_forward, old.currency, old.invoice_date,
         old.due_date, old.invoice_number, old.lines, old.voided) IS DISTINCT FROM
        (new.meter_id, new.customer_id, new.amount, new.balance_brought_forward, new.currency, new.invoice_date,
         new.due_date, new.invoice_number, new.lines, new.voided)
        THEN ARRAY[new.source_partition, new.source_offset, old.source_partition, old.source_offset] END AS conflict,
        old.projected_meter_id AS old_meter_id, old.projected_amount AS old_amount, old.invoice_date AS old_date,
        new.projected_meter_id AS new_meter_id, new.projected_amount AS new_amount, new.invoice_date AS new_date
),
lost_and_gained AS (
    INSERT INTO changes (meter_id, billed, invoices, gained_invoice_date, lost_invoice_date)
    SELECT old_meter_id, -old_amount, -1, NULL::date, old_date FROM merged WHERE old_meter_id IS NOT NULL
    UNION ALL
    SELECT new_meter_id, new_amount, 1, new_date, NULL FROM merged WHERE new_meter_id IS NOT NULL
)
SELECT count(*) FILTER (WHERE version > 0) AS applied,
       array_agg(conflict) FILTER (WHERE conflict IS NOT NULL) AS conflicts,
       array_agg(invoice_id) FILTER (WHERE moved) AS moved
FROM merged;

-- name: drop_invoice_locks
-- Delete the rows that were inserted only to lock invoices that have not arrived; a transaction that waits for such a key
-- keeps waiting. Their currency is empty: history that was loaded from elsewhere may have its own rows of version 0.
DELETE FROM invoices i
USING staged_invoices s
WHERE s.version = 0 AND i.invoice_id = s.invoice_id AND i.version = 0 AND i.currency = '';

-- name: stage_payment_locks
-- The stored payments that count for the meter of an invoice that this batch inserted or moved, to be locked in key order
-- with the staged ones. The invoices are passed as an array, whose length the planner knows. For a temporary table, which
-- has no statistics, it would expect thousands, and read all payments for the few of a small batch.
INSERT INTO staged_payments (payment_id, version, event_id, amount, currency, paid_at, reversed)
SELECT p.payment_id, 0, '', 0, '', timestamptz 'epoch', true
FROM payments p
WHERE p.invoice_id = ANY(%(moved)s::bigint[])
  AND p.meter_id IS NULL
  AND NOT EXISTS (SELECT FROM staged_payments s WHERE s.payment_id = p.payment_id);

-- name: merge_payments
-- As for invoices. The meter is the payment's own, else its invoice's, else the one that a backfill allocated.
WITH merged AS (
    INSERT INTO payments AS stored (
        payment_id, version, event_id, meter_id, customer_id, invoice_id, amount, currency, paid_at, method,
        reference, reversed, source_partition, source_offset, projected_amount, projected_meter_id)
    SELECT payment_id, version, event_id, meter_id, customer_id, invoice_id, amount, currency,
           paid_at, method, reference, reversed, source_partition, source_offset,
           CASE WHEN reversed OR effective_meter_id IS NULL THEN 0 ELSE amount END,
           CASE WHEN NOT reversed THEN effective_meter_id END
    FROM (
        SELECT s.*, coalesce(s.meter_id, (SELECT i.meter_id FROM invoices i WHERE i.invoice_id = s.invoice_id))
                    AS effective_meter_id
        FROM staged_payments s
        OFFSET 0  -- looked up once a payment, and only where it has no meter of its own
    ) resolved
    ORDER BY payment_id
    ON CONFLICT (payment_id) DO UPDATE SET
        version = excluded.version, event_id = excluded.event_id,
        meter_id = excluded.meter_id, customer_id = excluded.customer_id, invoice_id = excluded.invoice_id,
        amount = excluded.amount, currency = excluded.currency, paid_at = excluded.paid_at,
        method = excluded.method, reference = excluded.reference, reversed = excluded.reversed,
        source_partition = excluded.source_partition, source_offset = excluded.source_offset,
        projected_meter_id = CASE WHEN NOT excluded.reversed
            THEN coalesce(excluded.projected_meter_id, stored.allocated_meter_id) END,
        projected_amount = CASE
            WHEN excluded.reversed OR coalesce(excluded.projected_meter_id, stored.allocated_meter_id) IS NULL THEN 0
            ELSE excluded.amount END
    WHERE (excluded.version, excluded.event_id, stored.source_partition, stored.source_offset)
        > (stored.version, stored.event_id, excluded.source_partition, excluded.source_offset)
    RETURNING
        new.version,
        CASE WHEN old.version = new.version AND
        (old.meter_id, old.customer_id, old.invoice_id, old.amount, old.currency, old.paid_at, old.method,
         old.reference, old.reversed) IS DISTINCT FROM
        (new.meter_id, new.customer_id, new.invoice_id, new.amount, new.currency, new.paid_at, new.method,
         new.reference, new.reversed)
        THEN ARRAY[new.source_partition, new.source_offset, old.source_partition, old.source_offset] END AS conflict,
        old.projected_meter_id AS old_meter_id, old.projected_amount AS old_amount, old.paid_at AS old_paid_at,
        new.projected_meter_id AS new_meter_id, new.projected_amount AS new_amount, new.paid_at AS new_paid_at
),
lost_and_gained AS (
    INSERT INTO changes (meter_id, paid, payments, gained_paid_at, lost_paid_at)
    SELECT old_meter_id, -old_amount, -1, NULL::timestamptz, old_paid_at FROM merged WHERE old_meter_id IS NOT NULL
    UNION ALL
    SELECT new_meter_id, new_amount, 1, new_paid_at, NULL FROM merged WHERE new_meter_id IS NOT NULL
)
SELECT count(*) FILTER (WHERE version > 0) AS applied,
       array_agg(conflict) FILTER (WHERE conflict IS NOT NULL) AS conflicts
FROM merged;

-- name: drop_payment_locks
-- Locked rows exist, so normally none was inserted; one was if somebody deleted the payment by hand meanwhile.
DELETE FROM payments p
USING staged_payments s
WHERE s.version = 0 AND p.payment_id = s.payment_id AND p.version = 0 AND p.currency = '';

-- name: follow_invoices
-- Payments without a meter of their own move to their invoice's meter. All of them are locked by now.
WITH moved AS (
    UPDATE payments p SET
        projected_meter_id = coalesce(i.meter_id, p.allocated_meter_id),
        projected_amount = CASE WHEN coalesce(i.meter_id, p.allocated_meter_id) IS NULL THEN 0 ELSE p.amount END
    FROM invoices i
    WHERE p.invoice_id = ANY(%(moved)s::bigint[])
      AND i.invoice_id = p.invoice_id
      AND p.meter_id IS NULL
      AND NOT p.reversed
      AND p.projected_meter_id IS DISTINCT FROM coalesce(i.meter_id, p.allocated_meter_id)
    RETURNING old.projected_meter_id AS old_meter_id, old.projected_amount AS old_amount,
              new.projected_meter_id AS new_meter_id, new.projected_amount AS new_amount, new.paid_at
)
INSERT INTO changes (meter_id, paid, payments, gained_paid_at, lost_paid_at)
SELECT old_meter_id, -old_amount, -1, NULL::timestamptz, paid_at FROM moved WHERE old_meter_id IS NOT NULL
UNION ALL
SELECT new_meter_id, new_amount, 1, paid_at, NULL FROM moved WHERE new_meter_id IS NOT NULL;

-- name: merge_assignments
-- As for invoices. The clock is locked before any assignment, and decides which of them are active. The meter's active
-- customer is determined once the meter's row is locked.
WITH clock AS (
    SELECT through FROM assignment_clock FOR SHARE
),
merged AS (
    INSERT INTO meter_assignments AS stored (
        assignment_id, version, event_id, meter_id, customer_id, assigned_at, unassigned_at, ended, active,
        source_partition, source_offset)
    SELECT assignment_id, version, event_id, meter_id, customer_id, assigned_at, unassigned_at, ended,
           NOT ended AND assigned_at <= through AND coalesce(unassigned_at > through, true),
           source_partition, source_offset
    FROM staged_assignments CROSS JOIN clock
    ORDER BY assignment_id
    ON CONFLICT (assignment_id) DO UPDATE SET
        version = excluded.version, event_id = excluded.event_id,
        meter_id = excluded.meter_id, customer_id = excluded.customer_id,
        assigned_at = excluded.assigned_at, unassigned_at = excluded.unassigned_at,
        ended = excluded.ended, active = excluded.active,
        source_partition = excluded.source_partition, source_offset = excluded.source_offset
    WHERE (excluded.version, excluded.event_id, stored.source_partition, stored.source_offset)
        > (stored.version, stored.event_id, excluded.source_partition, excluded.source_offset)
    RETURNING
        CASE WHEN old.version = new.version AND
        (old.meter_id, old.customer_id, old.assigned_at, old.unassigned_at,
         coalesce(old.ended, NOT old.active AND old.unassigned_at IS NULL)) IS DISTINCT FROM
        (new.meter_id, new.customer_id, new.assigned_at, new.unassigned_at, new.ended)
        THEN ARRAY[new.source_partition, new.source_offset, old.source_partition, old.source_offset] END AS conflict,
        old.meter_id AS old_meter_id, new.meter_id AS new_meter_id, new.customer_id AS new_customer_id
),
reassigned AS (
    INSERT INTO changes (meter_id, assignee, reassigned)
    SELECT new_meter_id, new_customer_id, true FROM merged
    UNION ALL
    SELECT old_meter_id, NULL, true FROM merged WHERE old_meter_id <> new_meter_id
)
SELECT count(*) AS applied, array_agg(conflict) FILTER (WHERE conflict IS NOT NULL) AS conflicts,
       (SELECT count(*) FROM clock) AS clocks
FROM merged;

-- name: merge_customers
-- As for invoices; a customer's name moves no money.
WITH merged AS (
    INSERT INTO customers AS stored (customer_id, version, event_id, name, source_partition, source_offset)
    SELECT customer_id, version, event_id, name, source_partition, source_offset
    FROM staged_customers
    ORDER BY customer_id
    ON CONFLICT (customer_id) DO UPDATE SET
        version = excluded.version, event_id = excluded.event_id, name = excluded.name,
        source_partition = excluded.source_partition, source_offset = excluded.source_offset
    WHERE (excluded.version, excluded.event_id, stored.source_partition, stored.source_offset)
        > (stored.version, stored.event_id, excluded.source_partition, excluded.source_offset)
    RETURNING
        CASE WHEN old.version = new.version AND old.name IS DISTINCT FROM new.name
        THEN ARRAY[new.source_partition, new.source_offset, old.source_partition, old.source_offset] END AS conflict
)
SELECT count(*) AS applied, array_agg(conflict) FILTER (WHERE conflict IS NOT NULL) AS conflicts
FROM merged;

-- name: merge_meters
-- Add each meter's changes to its row under its lock, and record its figures before and after. A new row gets its active
-- customer here: a consumer that had committed an assignment of this meter would have inserted the row, and one that has
-- not committed waits for ours.
WITH merged AS (
    INSERT INTO meter_balances AS stored (
        meter_id, customer_id, total_billed, total_paid, invoice_count, payment_count, last_invoice_date,
        last_payment_at)
    SELECT meter_id,
           CASE WHEN bool_or(reassigned) THEN (
               SELECT a.customer_id FROM meter_assignments a
               WHERE a.meter_id = changes.meter_id AND a.active
               ORDER BY a.assigned_at DESC, a.assignment_id DESC LIMIT 1
           ) END,
           sum(billed), sum(paid), sum(invoices), sum(payments), max(gained_invoice_date), max(gained_paid_at)
    FROM changes
    GROUP BY meter_id
    ORDER BY meter_id
    ON CONFLICT (meter_id) DO UPDATE SET
        total_billed = stored.total_billed + excluded.total_billed,
        total_paid = stored.total_paid + excluded.total_paid,
        invoice_count = stored.invoice_count + excluded.invoice_count,
        payment_count = stored.payment_count + excluded.payment_count,
        last_invoice_date = greatest(stored.last_invoice_date, excluded.last_invoice_date),
        last_payment_at = greatest(stored.last_payment_at, excluded.last_payment_at),
        updated_at = now()
    RETURNING
        new.meter_id, old.meter_id IS NULL AS is_new,
        old.customer_id AS old_customer_id, new.customer_id AS new_customer_id,
        old.balance AS old_balance, old.overpayment AS old_overpayment,
        old.total_billed AS old_billed, old.total_paid AS old_paid,
        new.balance AS new_balance, new.overpayment AS new_overpayment,
        new.total_billed AS new_billed, new.total_paid AS new_paid
)
INSERT INTO touched_meters
SELECT * FROM merged;

-- name: settle_meters
-- What cannot be computed by adding is looked up, in a statement that starts under the meter's lock: the active customer
-- after a change of assignments, and the latest dates if the row that held them may have changed.
WITH unsettled AS (
    SELECT c.meter_id, bool_or(c.reassigned) AS reassigned, max(c.lost_invoice_date) AS lost_invoice_date,
           max(c.lost_paid_at) AS lost_paid_at
    FROM changes c
    JOIN touched_meters t USING (meter_id)
    WHERE NOT t.is_new AND (c.reassigned OR c.lost_invoice_date IS NOT NULL OR c.lost_paid_at IS NOT NULL)
    GROUP BY c.meter_id
),
settled AS (
    UPDATE meter_balances m SET
        customer_id = CASE WHEN u.reassigned THEN (
            SELECT a.customer_id FROM meter_assignments a
            WHERE a.meter_id = m.meter_id AND a.active
            ORDER BY a.assigned_at DESC, a.assignment_id DESC LIMIT 1
        ) ELSE m.customer_id END,
        last_invoice_date = CASE WHEN u.lost_invoice_date >= m.last_invoice_date THEN (
            SELECT max(i.invoice_date) FROM invoices i
            WHERE i.meter_id = m.meter_id AND NOT i.voided
        ) ELSE m.last_invoice_date END,
        last_payment_at = CASE WHEN u.lost_paid_at >= m.last_payment_at THEN greatest(
            (SELECT max(p.paid_at) FROM payments p WHERE p.meter_id = m.meter_id AND NOT p.reversed),
            (SELECT max(p.paid_at) FROM payments p
             WHERE p.projected_meter_id = m.meter_id AND p.meter_id IS DISTINCT FROM p.projected_meter_id
               AND NOT p.reversed)
        ) ELSE m.last_payment_at END
    FROM unsettled u
    WHERE m.meter_id = u.meter_id
      AND (u.reassigned OR u.lost_invoice_date >= m.last_invoice_date OR u.lost_paid_at >= m.last_payment_at)
    RETURNING m.meter_id, new.customer_id
)
UPDATE touched_meters t SET new_customer_id = settled.customer_id
FROM settled
WHERE t.meter_id = settled.meter_id
  AND t.new_customer_id IS DISTINCT FROM settled.customer_id;

-- name: merge_customer_balances
-- A customer gains what its meters gained. For a meter whose customer changed, the old customer loses its figures before,
-- and the new one gains its figures after. The meters' rows stay locked.
WITH shifts AS (
    SELECT new_customer_id AS customer_id, new_balance - old_balance AS balance,
           new_overpayment - old_overpayment AS overpayment, new_billed - old_billed AS billed,
           new_paid - old_paid AS paid, 0 AS meters
    FROM touched_meters
    WHERE old_customer_id = new_customer_id
    UNION ALL
    SELECT old_customer_id, -old_balance, -old_overpayment, -old_billed, -old_paid, -1
    FROM touched_meters
    WHERE old_customer_id <> new_customer_id OR (old_customer_id IS NOT NULL AND new_customer_id IS NULL)
    UNION ALL
    SELECT new_customer_id, new_balance, new_overpayment, new_billed, new_paid, 1
    FROM touched_meters
    WHERE old_customer_id <> new_customer_id OR (old_customer_id IS NULL AND new_customer_id IS NOT NULL)
    UNION ALL
    SELECT assignee, 0, 0, 0, 0, 0 FROM changes WHERE assignee IS NOT NULL
)
INSERT INTO customer_balances AS stored (customer_id, balance, overpayment, total_billed, total_paid, active_meters)
SELECT customer_id, sum(balance), sum(overpayment), sum(billed), sum(paid), sum(meters)
FROM shifts
GROUP BY customer_id
ORDER BY customer_id
ON CONFLICT (customer_id) DO UPDATE SET
    balance = stored.balance + excluded.balance,
    overpayment = stored.overpayment + excluded.overpayment,
    total_billed = stored.total_billed + excluded.total_billed,
    total_paid = stored.total_paid + excluded.total_paid,
    active_meters = stored.active_meters + excluded.active_meters,
    updated_at = now();

-- name: clear_changes
-- What was applied.
DELETE FROM changes;

-- name: clear_touched_meters
-- And the meters to which it was.
DELETE FROM touched_meters;

-- name: find_conflicts
-- Staged rows that were not applied because a stored row has the same version, with other content: the places of both.
-- Those rows are locked, so this later snapshot sees them. A staged row of version 0 is a lock. OFFSET 0 keeps the planner
-- from turning the lookup by key into a join.
SELECT
    (SELECT array_agg(ARRAY[s.source_partition, s.source_offset, h.source_partition, h.source_offset])
     FROM staged_invoices s
     CROSS JOIN LATERAL (SELECT * FROM invoices WHERE invoice_id = s.invoice_id OFFSET 0) h
     WHERE s.version = h.version AND s.version > 0
       AND (s.meter_id, s.customer_id, s.amount, s.balance_brought_forward, s.currency, s.invoice_date, s.due_date,
            s.invoice_number, s.lines, s.voided) IS DISTINCT FROM
           (h.meter_id, h.customer_id, h.amount, h.balance_brought_forward, h.currency, h.invoice_date, h.due_date,
            h.invoice_number, h.lines, h.voided)) AS invoices,
    (SELECT array_agg(ARRAY[s.source_partition, s.source_offset, h.source_partition, h.source_offset])
     FROM staged_payments s
     CROSS JOIN LATERAL (SELECT * FROM payments WHERE payment_id = s.payment_id OFFSET 0) h
     WHERE s.version = h.version AND s.version > 0
       AND (s.meter_id, s.customer_id, s.invoice_id, s.amount, s.currency, s.paid_at, s.method, s.reference,
            s.reversed) IS DISTINCT FROM
           (h.meter_id, h.customer_id, h.invoice_id, h.amount, h.currency, h.paid_at, h.method, h.reference,
            h.reversed)) AS payments,
    (SELECT array_agg(ARRAY[s.source_partition, s.source_offset, h.source_partition, h.source_offset])
     FROM staged_assignments s
     CROSS JOIN LATERAL (SELECT * FROM meter_assignments WHERE assignment_id = s.assignment_id OFFSET 0) h
     WHERE s.version = h.version
       AND (s.meter_id, s.customer_id, s.assigned_at, s.unassigned_at, s.ended) IS DISTINCT FROM
           (h.meter_id, h.customer_id, h.assigned_at, h.unassigned_at,
            coalesce(h.ended, NOT h.active AND h.unassigned_at IS NULL))) AS assignments,
    (SELECT array_agg(ARRAY[s.source_partition, s.source_offset, h.source_partition, h.source_offset])
     FROM staged_customers s
     CROSS JOIN LATERAL (SELECT * FROM customers WHERE customer_id = s.customer_id OFFSET 0) h
     WHERE s.version = h.version AND s.name IS DISTINCT FROM h.name) AS customers;
