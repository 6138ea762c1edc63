-- Why drifted meters and customers differ. Each history row is marked with what the projection last counted for it
-- and where; a mark that disagrees with what counts now names a row that changed outside the stream.

-- name: clear_evidence
-- Before the next of several scopes in one transaction.
TRUNCATE scope, disagreements, marked;

-- name: add_meters_to_scope
-- The meters in question.
INSERT INTO scope (meter_id) SELECT unnest(%(ids)s::bigint[]);

-- name: invoices_counted
-- The invoices that count at a meter of the scope, or are marked at one, and what counts of each.
suspects AS (
    SELECT i.*
    FROM scope s
    CROSS JOIN LATERAL (SELECT * FROM invoices WHERE meter_id = s.meter_id AND NOT voided OFFSET 0) i
    UNION
    SELECT i.*
    FROM scope s
    CROSS JOIN LATERAL (
        SELECT * FROM invoices
        WHERE projected_meter_id = s.meter_id AND (voided OR meter_id IS DISTINCT FROM projected_meter_id) OFFSET 0
    ) i
),
counted AS (
    SELECT 'invoices' AS source, invoice_id AS row_id, projected_meter_id, projected_amount, source_offset,
           voided AS excluded, 'voided' AS excluded_by, false AS follows_invoice,
           CASE WHEN NOT voided THEN meter_id END AS meter_id,
           CASE WHEN voided OR meter_id IS NULL THEN 0 ELSE amount END AS amount
    FROM suspects
)

-- name: payments_counted
-- The same for payments; one without a meter of its own counts at its invoice's meter, else where it was allocated.
billed AS (
    SELECT i.invoice_id
    FROM scope s
    CROSS JOIN LATERAL (SELECT invoice_id FROM invoices WHERE meter_id = s.meter_id AND NOT voided OFFSET 0) i
    UNION ALL
    SELECT i.invoice_id
    FROM scope s
    CROSS JOIN LATERAL (SELECT invoice_id FROM invoices WHERE meter_id = s.meter_id AND voided OFFSET 0) i
),
suspects AS (
    SELECT p.*
    FROM scope s
    CROSS JOIN LATERAL (SELECT * FROM payments WHERE meter_id = s.meter_id AND NOT reversed OFFSET 0) p
    UNION
    SELECT p.*
    FROM billed b
    CROSS JOIN LATERAL (SELECT * FROM payments WHERE invoice_id = b.invoice_id AND meter_id IS NULL OFFSET 0) p
    UNION
    SELECT p.*
    FROM scope s
    CROSS JOIN LATERAL (
        SELECT * FROM payments WHERE allocated_meter_id = s.meter_id AND meter_id IS NULL OFFSET 0
    ) p
    UNION
    SELECT p.*
    FROM scope s
    CROSS JOIN LATERAL (
        SELECT * FROM payments
        WHERE projected_meter_id = s.meter_id AND (reversed OR meter_id IS DISTINCT FROM projected_meter_id) OFFSET 0
    ) p
),
located AS (
    SELECT p.*, coalesce(p.meter_id,
        (SELECT i.meter_id FROM invoices i WHERE p.meter_id IS NULL AND i.invoice_id = p.invoice_id),
        p.allocated_meter_id) AS effective_meter_id
    FROM suspects p
),
counted AS (
    SELECT 'payments' AS source, payment_id AS row_id, projected_meter_id, projected_amount, source_offset,
           reversed AS excluded, 'reversed' AS excluded_by,
           meter_id IS NULL AND invoice_id IS NOT NULL AS follows_invoice,
           CASE WHEN NOT reversed THEN effective_meter_id END AS meter_id,
           CASE WHEN reversed OR effective_meter_id IS NULL THEN 0 ELSE amount END AS amount
    FROM located
)

-- name: disagreeing
-- The rows whose marks differ from what counts: once for the meter where the row counts, once for the meter of its
-- mark.
disagreeing AS (
    SELECT c.source, c.row_id, place.meter_id,
           CASE WHEN c.projected_meter_id IS NULL AND c.source_offset IS NULL THEN 'history-added'
                WHEN c.projected_meter_id <> c.meter_id THEN 'history-moved'
                ELSE 'history-changed' END AS cause,
           CASE WHEN c.excluded THEN c.excluded_by
                WHEN c.projected_meter_id IS NULL THEN c.excluded_by || ' or meter_id'
                WHEN c.meter_id IS NOT DISTINCT FROM c.projected_meter_id THEN 'amount'
                WHEN c.follows_invoice THEN 'meter_id or its invoice''s'
                ELSE 'meter_id' END AS field,
           CASE WHEN place.meter_id = c.meter_id THEN c.amount ELSE 0 END
           - CASE WHEN place.meter_id = c.projected_meter_id THEN c.projected_amount ELSE 0 END AS shift,
           CASE WHEN place.meter_id = c.meter_id THEN 1 ELSE 0 END
           - CASE WHEN place.meter_id = c.projected_meter_id THEN 1 ELSE 0 END AS row_shift,
           CASE WHEN c.meter_id IS NOT DISTINCT FROM c.projected_meter_id THEN 'projected_amount'
                ELSE 'projected_meter_id' END AS mark
    FROM counted c
    CROSS JOIN LATERAL (SELECT c.meter_id UNION SELECT c.projected_meter_id) AS place (meter_id)
    WHERE (c.meter_id, c.amount) IS DISTINCT FROM (c.projected_meter_id, c.projected_amount)
      AND place.meter_id IS NOT NULL
)

-- name: find_disagreeing_invoices
-- Keep the invoices of the scope that disagree with their marks.
-- with: invoices_counted, disagreeing
INSERT INTO disagreements (source, row_id, meter_id, cause, field, shift, row_shift, mark)
SELECT source, row_id, meter_id, cause, field, shift, row_shift, mark FROM disagreeing;

-- name: find_disagreeing_payments
-- Keep the payments of the scope that disagree with their marks.
-- with: payments_counted, disagreeing
INSERT INTO disagreements (source, row_id, meter_id, cause, field, shift, row_shift, mark)
SELECT source, row_id, meter_id, cause, field, shift, row_shift, mark FROM disagreeing;

-- name: find_disagreeing_assignments
-- Keep the assignments of the scope whose `active` disagrees with their dates. They move no amount.
-- fill: in_effect
INSERT INTO disagreements (source, row_id, meter_id, cause, field, shift, row_shift, mark)
SELECT 'assignments', a.assignment_id, a.meter_id, 'assignment-edited', 'assigned_at, unassigned_at or ended', 0, 0,
       'active'
FROM (SELECT DISTINCT meter_id FROM scope) s
CROSS JOIN LATERAL (SELECT * FROM meter_assignments WHERE meter_id = s.meter_id OFFSET 0) a
WHERE a.active <> {in_effect};

-- name: disagreements_by_meter
-- The disagreeing rows of the scope's meters in groups, each with its first ids and what each of these contributes.
SELECT d.meter_id, d.source, d.cause, d.field, count(*), sum(d.shift),
       (array_agg(d.row_id ORDER BY d.row_id))[1:%(ids_max)s], d.mark, sum(d.row_shift)::bigint,
       (array_agg(d.shift ORDER BY d.row_id))[1:%(ids_max)s], (array_agg(d.row_shift ORDER BY d.row_id))[1:%(ids_max)s]
FROM disagreements d
WHERE d.meter_id IN (SELECT meter_id FROM scope)
GROUP BY d.meter_id, d.source, d.cause, d.field, d.mark
ORDER BY d.meter_id, d.source, d.cause, d.field, d.mark;

-- name: sum_marks
-- The sums of the marks of a meter's rows: what the projection must have counted for it.
INSERT INTO marked (
    meter_id, total_billed, total_paid, invoice_count, payment_count, last_invoice_date, last_payment_at)
SELECT s.meter_id, coalesce(billed.total, 0), coalesce(paid.total, 0), billed.rows, paid.rows,
       billed.latest, paid.latest
FROM (SELECT DISTINCT meter_id FROM scope) s
CROSS JOIN LATERAL (
    SELECT sum(projected_amount) AS total, count(*) AS rows, max(invoice_date) AS latest
    FROM (
        SELECT projected_amount, invoice_date FROM invoices
        WHERE meter_id = s.meter_id AND NOT voided AND projected_meter_id = s.meter_id
        UNION ALL
        SELECT projected_amount, invoice_date FROM invoices
        WHERE projected_meter_id = s.meter_id AND (voided OR meter_id IS DISTINCT FROM projected_meter_id)
    ) i
) billed
CROSS JOIN LATERAL (
    SELECT sum(projected_amount) AS total, count(*) AS rows, max(paid_at) AS latest
    FROM (
        SELECT projected_amount, paid_at FROM payments
        WHERE meter_id = s.meter_id AND NOT reversed AND projected_meter_id = s.meter_id
        UNION ALL
        SELECT projected_amount, paid_at FROM payments
        WHERE projected_meter_id = s.meter_id AND (reversed OR meter_id IS DISTINCT FROM projected_meter_id)
    ) p
) paid;

-- name: marks
-- The sums of marks, and whether history has any trace of the meter.
-- fill: in_effect
SELECT k.meter_id, k.total_billed, k.total_paid, k.invoice_count, k.payment_count,
       k.last_invoice_date::text, k.last_payment_at::text,
       k.invoice_count + k.payment_count > 0
       OR EXISTS (SELECT FROM disagreements d WHERE d.meter_id = k.meter_id)
       OR EXISTS (SELECT FROM meter_assignments a WHERE a.meter_id = k.meter_id AND {in_effect})
       OR EXISTS (SELECT FROM invoices i WHERE i.meter_id = k.meter_id AND i.voided) AS known
FROM marked k;

-- name: count_meters_of_customers
-- Whether a customer's row counts the meter rows that name it: checked once for each customer and chunk, not for each
-- meter, because a customer may have very many.
INSERT INTO counted_customers (customer_id, agrees)
SELECT c.customer_id, coalesce(b.active_meters, 0) = r.meters
FROM (SELECT unnest(%(recorded)s::bigint[]) UNION SELECT unnest(%(expected)s::bigint[])) AS c (customer_id)
LEFT JOIN customer_balances b USING (customer_id)
CROSS JOIN LATERAL (SELECT count(*) AS meters FROM meter_balances m WHERE m.customer_id = c.customer_id) r
WHERE c.customer_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM counted_customers k WHERE k.customer_id = c.customer_id);

-- name: assignment_evidence
-- Meters shown under another customer than history assigns them to. If both customers' rows still count the meter rows
-- that name them, the projection is consistent, so an assignment was edited; else the meter's row was.
-- fill: in_effect
SELECT m.meter_id,
       coalesce(r.agrees, true) AND coalesce(e.agrees, true) AS agrees_with_itself,
       ARRAY(
           SELECT a.assignment_id FROM meter_assignments a
           WHERE a.meter_id = m.meter_id AND (a.customer_id = m.recorded OR {in_effect})
           ORDER BY 1 LIMIT %(ids_max)s
       ) AS assignment_ids
FROM unnest(%(meters)s::bigint[], %(recorded)s::bigint[], %(expected)s::bigint[]) AS m (meter_id, recorded, expected)
LEFT JOIN counted_customers r ON r.customer_id = m.recorded
LEFT JOIN counted_customers e ON e.customer_id = m.expected;

-- name: customer_evidence
-- For drifted customers: the sums over the meter rows that name each, those of the meters that history assigns
-- elsewhere, and whether it ever had a meter.
-- fill: assigned_customer
SELECT c.customer_id, m.balance, m.overpayment, m.total_billed, m.total_paid, m.active_meters,
       ARRAY(
           SELECT r.meter_id FROM meter_balances r
           WHERE r.customer_id = c.customer_id
             AND c.customer_id IS DISTINCT FROM {assigned_customer}
           ORDER BY r.meter_id LIMIT %(ids_max)s
       ) AS misassigned,
       EXISTS (SELECT FROM meter_assignments a WHERE a.customer_id = c.customer_id) AS known
FROM unnest(%(ids)s::bigint[]) AS c (customer_id)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(balance), 0) AS balance, coalesce(sum(overpayment), 0) AS overpayment,
           coalesce(sum(total_billed), 0) AS total_billed, coalesce(sum(total_paid), 0) AS total_paid,
           count(*) AS active_meters
    FROM meter_balances r WHERE r.customer_id = c.customer_id
) m;
