-- What a run is limited to. Every part that is null leaves all; PostgreSQL drops such a part when it plans.

-- name: selected_customers
-- A condition on `k.customer_id`. The hash spreads a sample evenly whatever the ids are, and it is the same in each run.
(%(customers)s::bigint[] IS NULL OR k.customer_id = ANY(%(customers)s::bigint[]))
AND (%(sample)s::float8 IS NULL OR (hashint8extended(k.customer_id, 0) & 1048575) < %(sample)s::float8 * 1048576)

-- name: customers_since
-- A condition on `k.customer_id` that is asked once a customer: it may have to look at all of its meters.
(%(since)s::timestamptz IS NULL
     OR EXISTS (SELECT FROM customer_balances c
                WHERE c.customer_id = k.customer_id AND c.updated_at >= %(since)s::timestamptz)
     OR EXISTS (SELECT FROM meter_balances m
                WHERE m.customer_id = k.customer_id AND m.updated_at >= %(since)s::timestamptz))

-- name: selected_meters
-- The same on `k.meter_id`.
(%(selected_meters)s::bigint[] IS NULL OR k.meter_id = ANY(%(selected_meters)s::bigint[]))
AND (%(sample)s::float8 IS NULL OR (hashint8extended(k.meter_id, 0) & 1048575) < %(sample)s::float8 * 1048576)
AND (%(since)s::timestamptz IS NULL
     OR EXISTS (SELECT FROM meter_balances m
                WHERE m.meter_id = k.meter_id AND m.updated_at >= %(since)s::timestamptz))

-- name: written_since
-- Whether row `k` was written by a transaction that was not over at a moment, which is given as the least transaction id
-- that was at work then: a row's xmin tells that of everybody who writes, and whenever he commits, while `updated_at` is
-- when a transaction began. All are taken where no moment is given, or one of another server's.
(%(touched_xid)s::bigint IS NULL
 OR age((%(touched_xid)s::text::xid8)::xid) < 0
 OR age(k.xmin) <= age((%(touched_xid)s::text::xid8)::xid))

-- name: owners
-- The customers whom history gives these meters, and those under whom the projection shows them.
SELECT customer_id FROM meter_assignments WHERE meter_id = ANY(%(meters)s::bigint[]) AND active
UNION
SELECT customer_id FROM meter_balances WHERE meter_id = ANY(%(meters)s::bigint[]) AND customer_id IS NOT NULL
ORDER BY customer_id;
