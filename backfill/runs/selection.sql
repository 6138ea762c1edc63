-- What a run is limited to.

-- name: owners
-- The customers that history assigns these meters to, and those under which the projection shows them.
-- fill: in_effect
SELECT a.customer_id FROM meter_assignments a WHERE a.meter_id = ANY(%(meters)s::bigint[]) AND {in_effect}
UNION
SELECT customer_id FROM meter_balances WHERE meter_id = ANY(%(meters)s::bigint[]) AND customer_id IS NOT NULL
ORDER BY customer_id;
