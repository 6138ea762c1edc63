-- One customer's recorded sums beside the rows of the customer's meters, in one snapshot.

-- name: recorded
-- The customer's name and recorded row, and whether anything but meters' rows names the customer.
SELECT c.name, b.updated_at, coalesce(b.balance, 0), coalesce(b.overpayment, 0), coalesce(b.total_billed, 0),
       coalesce(b.total_paid, 0), coalesce(b.active_meters, 0),
       c.customer_id IS NOT NULL OR b.customer_id IS NOT NULL
           OR EXISTS (SELECT FROM meter_assignments a WHERE a.customer_id = asked.customer_id)
FROM (SELECT %(customer_id)s::bigint AS customer_id) asked
LEFT JOIN customers c ON c.customer_id = asked.customer_id
LEFT JOIN customer_balances b ON b.customer_id = asked.customer_id;

-- name: meters
-- The recorded rows of the meters that are assigned to the customer as of the clock, by history, and of those that are
-- only recorded as such. A day is the deployment's business day; dates travel as text, because PostgreSQL has some that
-- Python does not.
-- fill: in_effect, assigned_customer
WITH assigned AS (
    SELECT r.meter_id
    FROM (
        SELECT DISTINCT a.meter_id FROM meter_assignments a WHERE a.customer_id = %(customer_id)s AND {in_effect}
    ) r
    CROSS JOIN LATERAL {assigned_customer} winner
    WHERE winner.customer_id = %(customer_id)s
),
named AS (
    SELECT meter_id FROM assigned
    UNION
    SELECT meter_id FROM meter_balances WHERE customer_id = %(customer_id)s
)
SELECT n.meter_id, a.meter_id IS NOT NULL AS assigned, m.customer_id IS NOT DISTINCT FROM %(customer_id)s AS recorded,
       coalesce(m.balance, 0), coalesce(m.overpayment, 0), coalesce(m.total_billed, 0), coalesce(m.total_paid, 0),
       m.last_invoice_date::text, (m.last_payment_at AT TIME ZONE %(timezone)s)::date::text
FROM named n
LEFT JOIN assigned a USING (meter_id)
LEFT JOIN meter_balances m USING (meter_id)
ORDER BY n.meter_id;
