-- Payments without a meter of their own: where each should count.

-- name: create_allocations
-- What was decided for the payments of one chunk.
CREATE TEMP TABLE IF NOT EXISTS allocations (
    payment_id          bigint NOT NULL,
    customer_id         bigint,
    meter_id            bigint,
    outcome             text NOT NULL
) ON COMMIT DELETE ROWS;

-- name: next_payments
-- The next payments in key order that count and have no meter of their own.
SELECT payment_id FROM payments
WHERE payment_id > %(after)s AND meter_id IS NULL AND NOT reversed
ORDER BY payment_id LIMIT %(size)s;

-- name: clear_allocations
-- Clear the table before deciding again.
DELETE FROM allocations;

-- name: decide_allocations
-- The invoice's meter wins; then an earlier allocation; then the only meter whose active customer the payer is; then
-- the payer's first assigned meter, but not one that is the payer's only from a later day on. The payer is the payment's
-- customer, else its invoice's. A payer's meters are read once for each payer, and of any number of meters the first two
-- are enough.
-- fill: assigned_customer
INSERT INTO allocations (payment_id, customer_id, meter_id, outcome)
WITH asked AS MATERIALIZED (
    SELECT p.payment_id, i.meter_id AS billed_meter_id, p.allocated_meter_id,
           coalesce(p.customer_id, i.customer_id) AS customer_id
    FROM payments p
    LEFT JOIN invoices i ON i.invoice_id = p.invoice_id
    WHERE p.payment_id = ANY(%(ids)s) AND p.meter_id IS NULL AND NOT p.reversed
),
payers AS MATERIALIZED (
    SELECT payer.customer_id, CASE WHEN second.meter_id IS NULL THEN one.meter_id END AS only_meter_id,
           earliest.meter_id AS first_meter_id
    FROM (SELECT DISTINCT customer_id FROM asked
          WHERE billed_meter_id IS NULL AND allocated_meter_id IS NULL AND customer_id IS NOT NULL) payer
    LEFT JOIN LATERAL (
        SELECT r.meter_id FROM meter_assignments r
        WHERE r.customer_id = payer.customer_id AND r.customer_id = {assigned_customer}
        LIMIT 1
    ) one ON true
    LEFT JOIN LATERAL (
        SELECT r.meter_id FROM meter_assignments r
        WHERE r.customer_id = payer.customer_id AND r.meter_id <> one.meter_id
          AND r.customer_id = {assigned_customer}
        LIMIT 1
    ) second ON true
    LEFT JOIN LATERAL (
        SELECT a.meter_id FROM meter_assignments a
        WHERE a.customer_id = payer.customer_id AND a.assigned_at <= (SELECT through FROM assignment_clock)
        ORDER BY a.assigned_at, a.assignment_id LIMIT 1
    ) earliest ON true
)
SELECT a.payment_id, a.customer_id,
       coalesce(a.billed_meter_id, a.allocated_meter_id, p.only_meter_id, p.first_meter_id),
       CASE WHEN a.billed_meter_id IS NOT NULL THEN 'invoice'
            WHEN a.allocated_meter_id IS NOT NULL THEN 'already'
            WHEN p.only_meter_id IS NOT NULL THEN 'only-meter'
            WHEN p.first_meter_id IS NOT NULL THEN 'first-meter'
            WHEN a.customer_id IS NULL THEN 'no-customer'
            ELSE 'no-meter' END
FROM asked a
LEFT JOIN payers p USING (customer_id);

-- name: payments_to_allocate
-- The payments for which a meter was found.
SELECT payment_id FROM allocations WHERE outcome IN ('only-meter', 'first-meter') ORDER BY payment_id;

-- name: scope_allocations
-- The meters that gain them, and the meters at which they are already marked, if any.
INSERT INTO scope (meter_id)
SELECT meter_id FROM allocations WHERE outcome IN ('only-meter', 'first-meter')
UNION
SELECT p.projected_meter_id FROM payments p JOIN allocations a USING (payment_id)
WHERE a.outcome IN ('only-meter', 'first-meter') AND p.projected_meter_id IS NOT NULL;

-- name: lock_allocations
-- Have the repair lock these payments with the others, in key order.
INSERT INTO disagreements (source, row_id, meter_id, cause, field, shift)
SELECT 'payments', payment_id, meter_id, 'history-changed', 'allocated_meter_id', 0
FROM allocations WHERE outcome IN ('only-meter', 'first-meter');

-- name: allocate
-- Under the locks of the payments, as decided under them.
UPDATE payments p SET allocated_meter_id = a.meter_id
FROM allocations a
WHERE a.payment_id = p.payment_id AND a.outcome IN ('only-meter', 'first-meter');

-- name: count_allocations
-- How many of each outcome.
SELECT outcome, count(*) FROM allocations GROUP BY outcome;

-- name: list_allocations
-- The payments to review.
SELECT a.outcome, a.payment_id, a.customer_id, a.meter_id, p.amount, p.reference
FROM allocations a JOIN payments p USING (payment_id)
WHERE a.outcome IN ('first-meter', 'no-customer', 'no-meter')
ORDER BY a.payment_id;
