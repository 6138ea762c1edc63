-- What a run is limited to.

-- name: owners
-- The customers whom history gives these meters, and those under whom the projection shows them.
SELECT customer_id FROM meter_assignments WHERE meter_id = ANY(%(meters)s::bigint[]) AND active
UNION
SELECT customer_id FROM meter_balances WHERE meter_id = ANY(%(meters)s::bigint[]) AND customer_id IS NOT NULL
ORDER BY customer_id;
