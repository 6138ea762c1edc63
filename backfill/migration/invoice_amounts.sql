-- Invoices whose amount repeats earlier debt: what their lines charge, and what they bring forward.

-- name: create_readings
-- What the lines of one chunk's invoices say.
CREATE TEMP TABLE IF NOT EXISTS readings (
    invoice_id          bigint NOT NULL,
    meter_id            bigint,
    amount              numeric,
    brought_forward     numeric,
    outcome             text NOT NULL
) ON COMMIT DELETE ROWS;

-- name: next_invoices
-- The next invoices in key order.
SELECT invoice_id FROM invoices WHERE invoice_id > %(after)s ORDER BY invoice_id LIMIT %(size)s;

-- name: clear_readings
-- Clear the table before reading again.
DELETE FROM readings;

-- name: read_lines
-- Lines of type BALANCE repeat earlier debt; all others are this period's charges. Lines that are not a list of types
-- and amounts as the contract defines them are reported and left unchanged.
INSERT INTO readings (invoice_id, meter_id, amount, brought_forward, outcome)
SELECT i.invoice_id, i.meter_id, l.charges, l.brought_forward,
       CASE WHEN l.lines = 0 THEN 'without-lines'
            WHEN l.unreadable > 0 THEN 'unreadable-lines'
            WHEN (i.amount, coalesce(i.balance_brought_forward, 0)) = (l.charges, l.brought_forward) THEN 'right'
            ELSE 'amended' END
FROM invoices i
CROSS JOIN LATERAL (
    SELECT count(*) AS lines, count(*) FILTER (WHERE NOT readable) AS unreadable,
           coalesce(sum(amount) FILTER (WHERE type <> 'BALANCE'), 0) AS charges,
           coalesce(sum(amount) FILTER (WHERE type = 'BALANCE'), 0) AS brought_forward
    FROM (
        SELECT line ->> 'type' AS type, w.readable,
               CASE WHEN w.readable THEN (line ->> 'amount')::numeric END AS amount
        FROM jsonb_array_elements(
            CASE jsonb_typeof(coalesce(i.lines, 'null'))
                WHEN 'null' THEN '[]' WHEN 'array' THEN i.lines ELSE jsonb_build_array(i.lines) END) AS line
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_typeof(line -> 'type') = 'string'
                            AND line ->> 'amount' ~ '^-?[0-9]{1,16}(\.[0-9]{1,2})?$', false) AS readable
        ) w
    ) written
) l
WHERE i.invoice_id = ANY(%(ids)s);

-- name: invoices_to_amend
-- The invoices whose figures differ from their lines.
SELECT invoice_id FROM readings WHERE outcome = 'amended' ORDER BY invoice_id;

-- name: scope_readings
-- The meters at which they count.
INSERT INTO scope (meter_id)
SELECT DISTINCT meter_id FROM readings WHERE outcome = 'amended' AND meter_id IS NOT NULL
UNION
SELECT i.projected_meter_id FROM invoices i JOIN readings r USING (invoice_id)
WHERE r.outcome = 'amended' AND i.projected_meter_id IS NOT NULL;

-- name: lock_readings
-- Have the repair lock these invoices with the others, in key order.
INSERT INTO disagreements (source, row_id, meter_id, cause, field, shift)
SELECT 'invoices', invoice_id, coalesce(meter_id, 0), 'history-changed', 'amount', 0
FROM readings WHERE outcome = 'amended';

-- name: amend
-- Under the locks of the invoices, as read under them.
UPDATE invoices i SET amount = r.amount, balance_brought_forward = r.brought_forward
FROM readings r
WHERE r.invoice_id = i.invoice_id AND r.outcome = 'amended';

-- name: count_readings
-- How many of each outcome.
SELECT outcome, count(*) FROM readings GROUP BY outcome;

-- name: list_readings
-- The invoices to review.
SELECT r.outcome, r.invoice_id, i.meter_id, i.customer_id, i.amount, i.invoice_number
FROM readings r JOIN invoices i USING (invoice_id)
WHERE r.outcome IN ('without-lines', 'unreadable-lines')
ORDER BY r.invoice_id;
