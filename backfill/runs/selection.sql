-- What a run is limited to.

-- name: in_effect
-- Whether assignment `a` is in effect as of the clock. One whose `ended` is null was loaded by hand: `active` says it.
CASE WHEN a.ended IS NULL THEN a.active
     ELSE NOT a.ended AND a.assigned_at <= (SELECT through FROM assignment_clock)
          AND coalesce(a.unassigned_at > (SELECT through FROM assignment_clock), true) END

-- name: owners
-- The customers that history assigns these meters to, and those under which the projection shows them.
-- fill: in_effect
SELECT a.customer_id FROM meter_assignments a WHERE a.meter_id = ANY(%(meters)s::bigint[]) AND {in_effect}
UNION
SELECT customer_id FROM meter_balances WHERE meter_id = ANY(%(meters)s::bigint[]) AND customer_id IS NOT NULL
ORDER BY customer_id;
