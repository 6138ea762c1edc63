-- One meter's statement as of one moment. A day is the deployment's business day; dates travel as text, because
-- PostgreSQL has some that Python does not.

-- name: statement
-- What counts at the meter, in the order of days; `recorded` is what the projection counted of it here, by the row's
-- marks, and `contradicts` tells whether the marks differ from what counts.
WITH counted AS (
    SELECT i.invoice_date AS day, 1 AS turn, NULL::timestamptz AS at, 'invoice' AS kind, i.invoice_id AS id,
           i.invoice_number AS reference, NULL::bigint AS through_invoice_id, false AS allocated, i.amount,
           i.balance_brought_forward,
           i.source_partition, i.source_offset,
           CASE WHEN i.projected_meter_id = i.meter_id THEN i.projected_amount ELSE 0 END AS recorded,
           (i.projected_meter_id, i.projected_amount) IS DISTINCT FROM (i.meter_id, i.amount) AS contradicts
    FROM invoices i
    WHERE i.meter_id = %(meter_id)s AND NOT i.voided
    UNION ALL
    SELECT (p.paid_at AT TIME ZONE %(timezone)s)::date, 2, p.paid_at, 'payment', p.payment_id,
           nullif(concat_ws(' ', p.method, p.reference), ''), CASE WHEN p.found = 'invoice' THEN p.invoice_id END,
           p.found = 'allocated', -p.amount, NULL, p.source_partition, p.source_offset,
           CASE WHEN p.projected_meter_id = %(meter_id)s THEN -p.projected_amount ELSE 0 END,
           (p.projected_meter_id, p.projected_amount) IS DISTINCT FROM (%(meter_id)s, p.amount)
    FROM (
        SELECT *, 'own' AS found FROM payments WHERE meter_id = %(meter_id)s AND NOT reversed
        UNION ALL
        SELECT p.*, 'invoice' FROM invoices i JOIN payments p ON p.invoice_id = i.invoice_id
        WHERE i.meter_id = %(meter_id)s AND p.meter_id IS NULL AND NOT p.reversed
        UNION ALL
        SELECT p.*, 'allocated' FROM payments p
        WHERE p.allocated_meter_id = %(meter_id)s AND p.meter_id IS NULL AND NOT p.reversed
          AND NOT EXISTS (SELECT FROM invoices i WHERE i.invoice_id = p.invoice_id AND i.meter_id IS NOT NULL)
    ) p
)
SELECT day::text, kind, id, reference, through_invoice_id, allocated, amount, balance_brought_forward,
       source_partition, source_offset, recorded, contradicts, coalesce(day < %(since)s, false) AS before,
       coalesce(day > %(at)s, false) AS after
FROM counted
ORDER BY day, turn, at, id;

-- name: not_counted
-- What names the meter, or is marked at it, but counts elsewhere or nowhere, and why. No index of meters has reversed
-- payments, so this reads the table of payments once.
WITH excluded AS (
    SELECT 'invoice' AS kind, invoice_id AS id, invoice_date AS day, amount, projected_meter_id, projected_amount,
           'voided' AS reason
    FROM invoices WHERE meter_id = %(meter_id)s AND voided
    UNION ALL
    SELECT 'invoice', invoice_id, invoice_date, amount, projected_meter_id, projected_amount,
           coalesce('is at meter ' || meter_id, 'is at no meter')
    FROM invoices
    WHERE projected_meter_id = %(meter_id)s AND meter_id IS DISTINCT FROM projected_meter_id
    UNION ALL
    SELECT 'payment', p.payment_id, (p.paid_at AT TIME ZONE %(timezone)s)::date, p.amount, p.projected_meter_id,
           -p.projected_amount,
           CASE WHEN p.reversed THEN 'reversed'
                WHEN p.meter_id IS NULL AND i.meter_id IS NOT NULL
                    THEN 'its invoice ' || i.invoice_id || ' is at meter ' || i.meter_id
                ELSE coalesce('is at meter ' || coalesce(p.meter_id, p.allocated_meter_id), 'is at no meter') END
    FROM payments p
    LEFT JOIN invoices i ON i.invoice_id = p.invoice_id
    WHERE (p.reversed AND coalesce(p.meter_id, i.meter_id, p.allocated_meter_id) = %(meter_id)s)
       OR ((p.projected_meter_id = %(meter_id)s OR (p.meter_id IS NULL AND p.allocated_meter_id = %(meter_id)s))
           AND coalesce(p.meter_id, i.meter_id, p.allocated_meter_id) IS DISTINCT FROM %(meter_id)s)
)
SELECT kind, id, day::text, amount, reason,
       CASE WHEN projected_meter_id = %(meter_id)s THEN projected_amount ELSE 0 END AS recorded,
       projected_meter_id IS NOT DISTINCT FROM %(meter_id)s AS contradicts,
       coalesce(day < %(since)s, false) OR coalesce(day > %(at)s, false) AS outside
FROM excluded
ORDER BY excluded.day, kind, id;

-- name: holders
-- Whom the meter has been assigned to as of the clock, in this order, by the business day on which each assignment began.
SELECT customer_id, (assigned_at AT TIME ZONE %(timezone)s)::date::text AS day
FROM meter_assignments
WHERE meter_id = %(meter_id)s AND (ended IS NULL OR assigned_at <= (SELECT through FROM assignment_clock))
ORDER BY assigned_at, assignment_id;

-- name: recorded
-- The recorded row of the meter, and its customer by assignment.
-- fill: assigned_customer
SELECT m.meter_id IS NOT NULL AS present, m.customer_id AS recorded_customer_id, a.customer_id, c.name,
       coalesce(m.total_billed, 0), coalesce(m.total_paid, 0), m.updated_at,
       coalesce(m.invoice_count, 0), coalesce(m.payment_count, 0)
FROM (SELECT %(meter_id)s::bigint AS meter_id) r
LEFT JOIN meter_balances m ON m.meter_id = r.meter_id
LEFT JOIN LATERAL {assigned_customer} a ON true
LEFT JOIN customers c ON c.customer_id = a.customer_id;

-- name: owner_at
-- Whose the meter is at the end of a day, by the dates of its assignments. One that has ended without a date decides no
-- day; for one that was loaded by hand, `active` counts where it has no end.
SELECT a.customer_id, c.name
FROM (SELECT (%(at)s::date + 1)::timestamp AT TIME ZONE %(timezone)s AS midnight) d
JOIN meter_assignments a ON a.meter_id = %(meter_id)s AND a.assigned_at < d.midnight
     AND CASE WHEN a.ended IS NULL THEN a.active OR coalesce(a.unassigned_at >= d.midnight, false)
              ELSE NOT a.ended AND coalesce(a.unassigned_at >= d.midnight, true) END
LEFT JOIN customers c ON c.customer_id = a.customer_id
ORDER BY a.assigned_at DESC, a.assignment_id DESC
LIMIT 1;

-- name: ahead
-- Whose the meter becomes at each moment after the clock at which one of its assignments begins or ends, with the local
-- day and time, null at midnight; the customer is null if nobody's.
WITH moments AS (
    SELECT a.assigned_at AS moment FROM meter_assignments a
    WHERE a.meter_id = %(meter_id)s AND NOT a.ended AND coalesce(a.unassigned_at > a.assigned_at, true)
    UNION
    SELECT a.unassigned_at FROM meter_assignments a
    WHERE a.meter_id = %(meter_id)s AND NOT a.ended AND a.unassigned_at > a.assigned_at
)
SELECT (m.moment AT TIME ZONE %(timezone)s)::date::text,
       nullif(regexp_replace((m.moment AT TIME ZONE %(timezone)s)::time::text, ':00$', ''), '00:00'),
       w.customer_id, c.name
FROM assignment_clock k
JOIN moments m ON m.moment > k.through
LEFT JOIN LATERAL (
    SELECT a.customer_id FROM meter_assignments a
    WHERE a.meter_id = %(meter_id)s
      AND CASE WHEN a.ended IS NULL THEN a.active
               ELSE NOT a.ended AND a.assigned_at <= m.moment AND coalesce(a.unassigned_at > m.moment, true) END
    ORDER BY a.assigned_at DESC, a.assignment_id DESC LIMIT 1
) w ON true
LEFT JOIN customers c ON c.customer_id = w.customer_id
ORDER BY m.moment;
