-- From an ordinary history (scale.sql) to one customer who has all meters, and what is done to either.

-- name: give_to_one
WITH a AS (UPDATE meter_assignments SET customer_id = 1),
     m AS (UPDATE meter_balances SET customer_id = 1 RETURNING balance, overpayment, total_billed, total_paid),
     others AS (DELETE FROM customer_balances WHERE customer_id <> 1)
UPDATE customer_balances c SET balance = s.balance, overpayment = s.overpayment, total_billed = s.billed,
    total_paid = s.paid, active_meters = s.meters
FROM (SELECT sum(balance) AS balance, sum(overpayment) AS overpayment, sum(total_billed) AS billed,
             sum(total_paid) AS paid, count(*) AS meters FROM m) s
WHERE c.customer_id = 1;

-- name: show_elsewhere
-- Two fifths of the meters under the customer after the last.
UPDATE meter_balances SET customer_id = %(customers)s + 1 WHERE meter_id %% 5 < 2;

-- name: show_as_assigned
UPDATE meter_balances m SET customer_id = a.customer_id
FROM meter_assignments a
WHERE a.meter_id = m.meter_id AND m.customer_id <> a.customer_id;

-- name: damage_all
UPDATE meter_balances SET total_billed = total_billed + 1;
