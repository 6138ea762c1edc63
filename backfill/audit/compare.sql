-- Recorded against expected, inside the chunk's snapshot. A missing row equals a row of zeros. A meter whose figures
-- agree still differs if history rows contradict their marks.
-- A chunk is tallied by one statement that writes nothing; only if that counts a difference are the figures kept in
-- scratch tables, to be explained one by one.
-- Dates travel as text: PostgreSQL has some that Python does not, and they must be reported like any other.

-- name: drifted_meters
-- The scope's meters in which any column differs, or a history row contradicts its marks: recorded first, then
-- expected.
SELECT e.meter_id, r.meter_id IS NOT NULL AS present,
       r.customer_id, coalesce(r.total_billed, 0), coalesce(r.total_paid, 0), coalesce(r.balance, 0),
       coalesce(r.overpayment, 0), coalesce(r.invoice_count, 0), coalesce(r.payment_count, 0),
       r.last_invoice_date::text, r.last_payment_at::text,
       e.customer_id, e.total_billed, e.total_paid, e.balance, e.overpayment, e.invoice_count, e.payment_count,
       e.last_invoice_date::text, e.last_payment_at::text, e.contradicting_rows
FROM expected_meters e
LEFT JOIN LATERAL (SELECT * FROM meter_balances m WHERE m.meter_id = e.meter_id OFFSET 0) r ON true
WHERE e.contradicting_rows <> 0 OR
      (r.customer_id, coalesce(r.total_billed, 0), coalesce(r.total_paid, 0), coalesce(r.balance, 0),
       coalesce(r.overpayment, 0), coalesce(r.invoice_count, 0), coalesce(r.payment_count, 0),
       r.last_invoice_date, r.last_payment_at)
      IS DISTINCT FROM
      (e.customer_id, e.total_billed, e.total_paid, e.balance, e.overpayment, e.invoice_count, e.payment_count,
       e.last_invoice_date, e.last_payment_at)
ORDER BY e.meter_id;

-- name: compare_customers
-- Every customer of the chunk, recorded and expected: the sums over the meters that history assigns to it.
INSERT INTO compared_customers
WITH expected AS (
    SELECT customer_id, sum(balance) AS balance, sum(overpayment) AS overpayment, sum(total_billed) AS total_billed,
           sum(total_paid) AS total_paid, count(*) AS active_meters
    FROM expected_meters
    GROUP BY customer_id
)
SELECT asked.customer_id, r.customer_id IS NOT NULL,
       coalesce(r.balance, 0), coalesce(r.overpayment, 0), coalesce(r.total_billed, 0), coalesce(r.total_paid, 0),
       coalesce(r.active_meters, 0),
       coalesce(e.balance, 0), coalesce(e.overpayment, 0), coalesce(e.total_billed, 0), coalesce(e.total_paid, 0),
       coalesce(e.active_meters, 0)
FROM unnest(%(ids)s::bigint[]) AS asked (customer_id)
LEFT JOIN LATERAL (SELECT * FROM customer_balances c WHERE c.customer_id = asked.customer_id OFFSET 0) r ON true
LEFT JOIN expected e ON e.customer_id = asked.customer_id;

-- name: drifted_customers
-- The chunk's customers in which any column differs: recorded first, then expected.
SELECT customer_id, present, balance, overpayment, total_billed, total_paid, active_meters,
       expected_balance, expected_overpayment, expected_total_billed, expected_total_paid, expected_active_meters
FROM compared_customers
WHERE (balance, overpayment, total_billed, total_paid, active_meters) IS DISTINCT FROM
      (expected_balance, expected_overpayment, expected_total_billed, expected_total_paid, expected_active_meters)
ORDER BY customer_id;
