-- What a run is limited to.

-- name: owners
-- The customers that history assigns these meters to, and those under which the projection shows them.
SELECT customer_id FROM meter_assignments WHERE meter_id = ANY(%(meters)s::bigint[]) AND active
UNION
SELECT customer_id FROM meter_balances WHERE meter_id = ANY(%(meters)s::bigint[]) AND customer_id IS NOT NULL
ORDER BY customer_id;
