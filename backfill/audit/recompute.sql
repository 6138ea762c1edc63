-- What each meter of a scope must show by history. No figure here is read from the projection or its marks. The last
-- column compares marks: how many history rows that count at the meter, or are marked at it, contradict their marks.
-- For an invoice, or a payment with a meter of its own, that is a condition on the row alone, and the rows that meet it
-- have an index of their own (`invoices_contradicting`, `payments_contradicting`), which is empty while all is well. A
-- payment without a meter of its own is checked where its invoice is read; one that is marked at a wrong meter is among
-- those that `payments_projected_elsewhere` has for that meter, and not among the meter's own followers.
-- A chunk's meters are read as ranges of keys, from each `low` to its `high`: many keys where they are close together,
-- one where it is alone. OFFSET 0 makes each range a scan of its own: joining whole tables, which the planner prefers,
-- would cost each chunk the size of the database.
-- Which assignments are in effect follows from their dates and from the clock in the same snapshot, not from `active`,
-- which is compared like a mark.
-- A statement that needs expected figures has `scope` and `recomputed` as its parts, or `kept` in their place.

-- name: candidate_meters
-- The meters with an assignment to one of these customers that is in effect.
-- fill: in_effect
SELECT coalesce(array_agg(DISTINCT a.meter_id), '{}')
FROM meter_assignments a
WHERE a.customer_id = ANY(%(ids)s::bigint[]) AND {in_effect};

-- name: scope_of_customers
-- Those of them whose customer is one of these: of several assignments of a meter in effect the latest wins.
-- fill: in_effect
WITH winners AS (
    SELECT w.meter_id, w.customer_id
    FROM unnest(%(lows)s::bigint[], %(highs)s::bigint[]) AS r (low, high)
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (a.meter_id) a.meter_id, a.customer_id
        FROM meter_assignments a
        WHERE a.meter_id BETWEEN r.low AND r.high AND {in_effect}
        ORDER BY a.meter_id, a.assigned_at DESC, a.assignment_id DESC
    ) w
)
SELECT array_agg(meter_id), array_agg(customer_id)
FROM winners
WHERE customer_id = ANY(%(ids)s::bigint[]);

-- name: scope_of_meters
-- These meters, each with its customer, if any.
-- fill: assigned_customer
SELECT array_agg(r.meter_id), array_agg(winner.customer_id)
FROM unnest(%(ids)s::bigint[]) AS r (meter_id)
LEFT JOIN LATERAL {assigned_customer} winner ON true;

-- name: scope
-- The meters of a chunk, each with the customer that history assigns it to.
scope AS (
    SELECT meter_id, customer_id
    FROM unnest(%(meters)s::bigint[], %(owners)s::bigint[]) AS s (meter_id, customer_id)
),
ranges AS (
    SELECT low, high
    FROM unnest(%(lows)s::bigint[], %(highs)s::bigint[]) AS r (low, high)
)

-- name: recomputed
-- Rows of other meters in the ranges are dropped by the join with the scope. Money is unbounded here: a sum too large
-- for the projection must be found and reported, and not end the check. A payment without a meter of its own takes its
-- invoice's meter, voided or not, else an allocated one.
-- fill: in_effect
billed AS (
    SELECT b.*
    FROM ranges r
    CROSS JOIN LATERAL (
        SELECT meter_id, sum(amount) AS total, count(*) AS rows, max(invoice_date) AS latest
        FROM invoices
        WHERE NOT voided AND meter_id BETWEEN r.low AND r.high
        GROUP BY meter_id
    ) b
),
paid_by_meter AS (
    SELECT p.*
    FROM ranges r
    CROSS JOIN LATERAL (
        SELECT meter_id, sum(amount) AS total, count(*) AS rows, max(paid_at) AS latest
        FROM payments
        WHERE NOT reversed AND meter_id BETWEEN r.low AND r.high
        GROUP BY meter_id
    ) p
),
any_invoice AS (
    SELECT i.*
    FROM ranges r
    CROSS JOIN LATERAL (
        SELECT meter_id, invoice_id FROM invoices
        WHERE NOT voided AND meter_id BETWEEN r.low AND r.high
        UNION ALL
        SELECT meter_id, invoice_id FROM invoices
        WHERE voided AND meter_id BETWEEN r.low AND r.high
        OFFSET 0
    ) i
),
paid_otherwise AS (
    SELECT meter_id, sum(amount) AS total, count(*) AS rows, max(paid_at) AS latest,
           count(*) FILTER (WHERE projected_meter_id = meter_id) AS marked_here,
           count(*) FILTER (WHERE projected_meter_id = meter_id AND projected_amount = amount) AS marked_right
    FROM (
        SELECT i.meter_id, p.amount, p.paid_at, p.projected_meter_id, p.projected_amount
        FROM any_invoice i
        JOIN payments p ON p.invoice_id = i.invoice_id AND p.meter_id IS NULL AND NOT p.reversed
        WHERE EXISTS (SELECT FROM payments WHERE meter_id IS NULL AND invoice_id IS NOT NULL)
        UNION ALL
        SELECT p.allocated_meter_id, p.amount, p.paid_at, p.projected_meter_id, p.projected_amount
        FROM scope s
        CROSS JOIN LATERAL (
            SELECT * FROM payments
            WHERE allocated_meter_id = s.meter_id AND meter_id IS NULL AND NOT reversed OFFSET 0
        ) p
        WHERE NOT EXISTS (SELECT FROM invoices i WHERE i.invoice_id = p.invoice_id AND i.meter_id IS NOT NULL)
          AND EXISTS (SELECT FROM payments WHERE meter_id IS NULL AND allocated_meter_id IS NOT NULL)
    ) without_meter
    GROUP BY meter_id
),
marked_otherwise AS (
    SELECT meter_id, count(*) AS rows
    FROM ranges r
    CROSS JOIN LATERAL (
        SELECT meter_id FROM invoices
        WHERE NOT voided AND meter_id BETWEEN r.low AND r.high
          AND (projected_meter_id, projected_amount) IS DISTINCT FROM (meter_id, amount)
        UNION ALL
        SELECT projected_meter_id FROM invoices
        WHERE projected_meter_id BETWEEN r.low AND r.high
          AND (voided OR meter_id IS DISTINCT FROM projected_meter_id)
        UNION ALL
        SELECT meter_id FROM payments
        WHERE NOT reversed AND meter_id BETWEEN r.low AND r.high
          AND (projected_meter_id, projected_amount) IS DISTINCT FROM (meter_id, amount)
        UNION ALL
        SELECT projected_meter_id FROM payments
        WHERE projected_meter_id BETWEEN r.low AND r.high
          AND (reversed OR meter_id IS DISTINCT FROM projected_meter_id)
        UNION ALL
        SELECT a.meter_id FROM meter_assignments a
        WHERE a.meter_id BETWEEN r.low AND r.high AND a.active <> {in_effect}
        OFFSET 0
    ) m
    GROUP BY meter_id
),
recorded_meters AS NOT MATERIALIZED (
    SELECT m.*
    FROM ranges r
    CROSS JOIN LATERAL (SELECT * FROM meter_balances WHERE meter_id BETWEEN r.low AND r.high OFFSET 0) m
),
totals AS (
    SELECT s.meter_id, s.customer_id,
           coalesce(b.total, 0) AS billed, coalesce(p.total, 0) + coalesce(o.total, 0) AS paid,
           coalesce(b.rows, 0) AS invoice_count, coalesce(p.rows, 0) + coalesce(o.rows, 0) AS payment_count,
           b.latest AS last_invoice_date, greatest(p.latest, o.latest) AS last_payment_at,
           coalesce(m.rows, 0) + coalesce(o.rows - o.marked_right - o.marked_here, 0) AS contradicting_rows
    FROM scope s
    LEFT JOIN billed b USING (meter_id)
    LEFT JOIN paid_by_meter p USING (meter_id)
    LEFT JOIN paid_otherwise o USING (meter_id)
    LEFT JOIN marked_otherwise m USING (meter_id)
),
recomputed AS (
    SELECT meter_id, customer_id, billed AS total_billed, paid AS total_paid,
           greatest(billed - paid, 0) AS balance, greatest(paid - billed, 0) AS overpayment,
           invoice_count, payment_count, last_invoice_date, last_payment_at, contradicting_rows
    FROM totals
)

-- name: kept
-- In the place of `scope` and `recomputed`, where the figures of a chunk's meters were kept slice by slice.
recomputed AS NOT MATERIALIZED (
    SELECT * FROM expected_meters
),
recorded_meters AS NOT MATERIALIZED (
    SELECT m.* FROM meter_balances m JOIN expected_meters USING (meter_id)
)

-- name: tallied_meters
-- How many of its meters differ from their rows, and how many history rows were added up.
tallied_meters AS (
    SELECT count(*) FILTER (
               WHERE e.contradicting_rows <> 0 OR
                     (r.customer_id, coalesce(r.total_billed, 0), coalesce(r.total_paid, 0), coalesce(r.balance, 0),
                      coalesce(r.overpayment, 0), coalesce(r.invoice_count, 0), coalesce(r.payment_count, 0),
                      r.last_invoice_date, r.last_payment_at)
                     IS DISTINCT FROM
                     (e.customer_id, e.total_billed, e.total_paid, e.balance, e.overpayment, e.invoice_count,
                      e.payment_count, e.last_invoice_date, e.last_payment_at)) AS drifted_meters,
           coalesce(sum(e.invoice_count + e.payment_count), 0)::bigint AS history_rows
    FROM recomputed e
    LEFT JOIN recorded_meters r USING (meter_id)
)

-- name: tally_meters
-- What a chunk of meters adds to the tally.
-- with: scope, recomputed, tallied_meters
SELECT drifted_meters, history_rows FROM tallied_meters;

-- name: compared_customers
-- The customers of a chunk: recorded beside expected, and whether they differ.
expected AS (
    SELECT customer_id, sum(balance) AS balance, sum(overpayment) AS overpayment, sum(total_billed) AS total_billed,
           sum(total_paid) AS total_paid, count(*) AS active_meters
    FROM recomputed
    GROUP BY customer_id
),
compared AS (
    SELECT coalesce(r.balance, 0) AS balance, coalesce(r.overpayment, 0) AS overpayment,
           coalesce(e.balance, 0) AS expected_balance, coalesce(e.overpayment, 0) AS expected_overpayment,
           (coalesce(r.balance, 0), coalesce(r.overpayment, 0), coalesce(r.total_billed, 0),
            coalesce(r.total_paid, 0), coalesce(r.active_meters, 0)) IS DISTINCT FROM
           (coalesce(e.balance, 0), coalesce(e.overpayment, 0), coalesce(e.total_billed, 0),
            coalesce(e.total_paid, 0), coalesce(e.active_meters, 0)) AS drifted
    FROM unnest(%(ids)s::bigint[]) AS asked (customer_id)
    LEFT JOIN (SELECT * FROM customer_balances WHERE customer_id BETWEEN %(first)s AND %(last)s) r USING (customer_id)
    LEFT JOIN expected e USING (customer_id)
)

-- name: customer_tally
-- What a chunk adds to the tally: how many customers, in which condition, the totals before and after, and how many of
-- the meters and customers differ from their rows.
customer_tally AS (
    SELECT count(*) AS customers,
           count(*) FILTER (WHERE expected_balance > 0) AS with_balance,
           count(*) FILTER (WHERE expected_overpayment > 0) AS with_overpayment,
           count(*) FILTER (WHERE expected_balance = 0 AND expected_overpayment = 0) AS clear,
           count(*) FILTER (WHERE balance <> expected_balance) AS balances_changed,
           count(*) FILTER (WHERE overpayment <> expected_overpayment) AS overpayments_changed,
           coalesce(sum(balance), 0) AS balance_before,
           coalesce(sum(expected_balance), 0) AS balance_after,
           coalesce(sum(overpayment), 0) AS overpayment_before,
           coalesce(sum(expected_overpayment), 0) AS overpayment_after,
           count(*) FILTER (WHERE drifted) AS drifted_customers,
           (SELECT drifted_meters FROM tallied_meters) AS drifted_meters,
           (SELECT history_rows FROM tallied_meters) AS history_rows
    FROM compared
)

-- name: tally_customers
-- The tally of a chunk of customers.
-- with: scope, recomputed, tallied_meters, compared_customers, customer_tally
SELECT * FROM customer_tally;

-- name: tally_kept_customers
-- The same where the figures of the chunk's meters were kept slice by slice.
-- with: kept, tallied_meters, compared_customers, customer_tally
SELECT * FROM customer_tally;

-- name: keep_expected
-- Keep the figures of a chunk's meters, to be read again.
-- with: scope, recomputed
INSERT INTO expected_meters SELECT * FROM recomputed;
