-- Which keys a chunk covers. Every phase pages on immutable keys, and each chunk begins after the last key of the one
-- before, so the ranges of a phase cover every key once, whatever is added meanwhile.

-- name: next_customers
-- The last key of the next chunk of customers: `size` customers further in key order, or fewer if these have more rows
-- of assignments than a chunk of meters may hold; at least one customer, however many it has. Customers are those that
-- have or had a meter, those that the projection shows, and for a limited run those whose rows its repairs changed.
-- Null: nothing is left. No more rows are read than a chunk may hold. Whether the stream changed a customer, which may
-- read all its meters, is checked once for each customer; if none was changed up to some key, that key will do as the
-- end.
-- fill: selected_customers, customers_since
WITH held AS MATERIALIZED (
    SELECT k.customer_id FROM meter_assignments k
    WHERE k.customer_id > %(after)s AND {selected_customers}
    ORDER BY k.customer_id LIMIT %(meters_max)s + 1
),
shown AS MATERIALIZED (
    SELECT k.customer_id FROM customer_balances k
    WHERE k.customer_id > %(after)s AND {selected_customers}
    ORDER BY k.customer_id
    LIMIT CASE WHEN %(since)s::timestamptz IS NULL THEN %(size)s ELSE greatest(%(size)s, %(meters_max)s) END
),
changed AS MATERIALIZED (
    SELECT t.entity_id AS customer_id FROM backfill_touched t
    WHERE t.run_id = %(run_id)s AND t.entity = 'customer' AND t.entity_id > %(after)s
    ORDER BY t.entity_id LIMIT %(size)s
),
seen AS (  -- up to here each of the three lists is complete; null: to the end
    SELECT least(
        (SELECT CASE WHEN count(*) > %(meters_max)s THEN greatest(min(customer_id), max(customer_id) - 1) END
         FROM held),
        (SELECT CASE WHEN count(*) >= %(size)s THEN max(customer_id) END FROM shown),
        (SELECT CASE WHEN count(*) >= %(size)s THEN max(customer_id) END FROM changed)) AS last
),
known AS (
    SELECT customer_id FROM (
        SELECT customer_id FROM held UNION SELECT customer_id FROM shown UNION SELECT customer_id FROM changed) k, seen
    WHERE customer_id <= coalesce(last, customer_id)
),
chunk AS (
    SELECT k.customer_id FROM known k WHERE {customers_since} ORDER BY k.customer_id LIMIT %(size)s
)
SELECT CASE WHEN (SELECT count(*) FROM chunk) >= %(size)s THEN (SELECT max(customer_id) FROM chunk)
            ELSE coalesce((SELECT last FROM seen), (SELECT max(customer_id) FROM known)) END;

-- name: customers_of_range
-- The customers of a range, in key order. A customer that the run found drifted and could not repair stays in it,
-- whatever the run is limited to.
-- fill: selected_customers, customers_since
SELECT k.customer_id
FROM (SELECT k.customer_id FROM meter_assignments k
      WHERE k.customer_id > %(after)s AND k.customer_id <= %(last)s AND {selected_customers}
      UNION
      SELECT k.customer_id FROM customer_balances k
      WHERE k.customer_id > %(after)s AND k.customer_id <= %(last)s AND {selected_customers}
      UNION
      SELECT t.entity_id FROM backfill_touched t
      WHERE t.run_id = %(run_id)s AND t.entity = 'customer' AND t.entity_id > %(after)s AND t.entity_id <= %(last)s) k
WHERE {customers_since}
   OR EXISTS (SELECT FROM drift d
              WHERE d.run_id = %(run_id)s AND d.entity = 'customer' AND d.entity_id = k.customer_id
                AND d.entity_id > %(after)s AND d.entity_id <= %(last)s AND d.repaired_at IS NULL)
ORDER BY k.customer_id;

-- name: changed_customers
-- Those of these customers whose row, or a meter row that names them, was written since the round before began; and
-- those that an earlier round of this run found and could not repair, whose rows nobody has written.
-- fill: written_since
SELECT k.customer_id FROM customer_balances k WHERE k.customer_id = ANY(%(ids)s::bigint[]) AND {written_since}
UNION
SELECT k.customer_id FROM meter_balances k WHERE k.customer_id = ANY(%(ids)s::bigint[]) AND {written_since}
UNION
SELECT d.entity_id FROM drift d
WHERE d.run_id = %(run_id)s AND d.entity = 'customer' AND d.entity_id = ANY(%(ids)s::bigint[])
  AND d.repaired_at IS NULL AND d.round < %(round)s
ORDER BY customer_id;

-- name: changed_meters
-- The meters of a window that were written since, whichever customer they belong to: those of the selection, and those
-- that this run's repairs set. Also those that an earlier round of this run found and could not repair.
-- fill: selected_meters, written_since
SELECT array_agg(meter_id ORDER BY meter_id)
FROM (
    SELECT k.meter_id FROM meter_balances k
    WHERE k.meter_id > %(after)s AND k.meter_id <= %(last)s AND {selected_meters} AND {written_since}
    UNION
    SELECT k.meter_id FROM backfill_touched t
    JOIN meter_balances k ON k.meter_id = t.entity_id
    WHERE t.run_id = %(run_id)s AND t.entity = 'meter' AND t.entity_id > %(after)s AND t.entity_id <= %(last)s
      AND {written_since}
    UNION
    SELECT d.entity_id FROM drift d
    WHERE d.run_id = %(run_id)s AND d.entity = 'meter' AND d.entity_id > %(after)s AND d.entity_id <= %(last)s
      AND d.repaired_at IS NULL AND d.round < %(round)s
) known;

-- name: count_customers
-- How many customers are behind a key, for a progress bar and for pacing.
-- fill: selected_customers, customers_since
SELECT count(*)
FROM (SELECT k.customer_id FROM meter_assignments k WHERE k.customer_id > %(after)s AND {selected_customers}
      UNION
      SELECT k.customer_id FROM customer_balances k WHERE k.customer_id > %(after)s AND {selected_customers}) k
WHERE {customers_since};

-- name: count_meters
-- How many meters the projection shows behind a key, for pacing.
SELECT count(*) FROM meter_balances WHERE meter_id > %(after)s;

-- name: last_meter
-- The greatest meter key of the projection, for a progress bar.
SELECT coalesce(max(meter_id), 0) FROM meter_balances;

-- name: next_drifted
-- The meters or customers of a range that this round found drifted and has not repaired, in key order; also finds where
-- the next range ends.
SELECT DISTINCT entity_id FROM drift
WHERE run_id = %(run_id)s AND round = %(round)s AND entity = %(entity)s
  AND entity_id > %(after)s AND entity_id <= %(last)s AND repaired_at IS NULL
ORDER BY entity_id LIMIT %(size)s;

-- name: found_among
-- The same among some meters or customers.
SELECT DISTINCT entity_id FROM drift
WHERE run_id = %(run_id)s AND round = %(round)s AND entity = %(entity)s
  AND entity_id = ANY(%(ids)s::bigint[]) AND repaired_at IS NULL
ORDER BY entity_id;

-- name: next_meter
-- The last key of the next window of meter keys: so many keys further in the projection or, beyond its end, so many
-- rows further in history. Null: nothing is left. Any end would be correct; this one keeps windows similar in size.
SELECT coalesce(
    (SELECT meter_id FROM meter_balances WHERE meter_id > %(after)s ORDER BY meter_id OFFSET %(rows)s LIMIT 1),
    (SELECT meter_id FROM invoices WHERE meter_id > %(after)s AND NOT voided
     ORDER BY meter_id OFFSET %(rows)s LIMIT 1),
    (SELECT meter_id FROM payments WHERE meter_id > %(after)s AND NOT reversed
     ORDER BY meter_id OFFSET %(rows)s LIMIT 1));

-- name: unassigned_meters
-- The meters of a window that history assigns to no customer: they are compared on their own.
-- fill: selected_meters, in_effect
SELECT array_agg(k.meter_id ORDER BY k.meter_id)
FROM (
    SELECT meter_id FROM meter_balances WHERE meter_id > %(after)s AND meter_id <= %(last)s
    UNION
    SELECT meter_id FROM invoices WHERE meter_id > %(after)s AND meter_id <= %(last)s AND NOT voided
    UNION
    SELECT meter_id FROM invoices WHERE meter_id > %(after)s AND meter_id <= %(last)s AND voided
    UNION
    SELECT meter_id FROM payments WHERE meter_id > %(after)s AND meter_id <= %(last)s AND NOT reversed
    UNION
    SELECT projected_meter_id FROM invoices
    WHERE projected_meter_id > %(after)s AND projected_meter_id <= %(last)s
      AND (voided OR meter_id IS DISTINCT FROM projected_meter_id)
    UNION
    SELECT projected_meter_id FROM payments
    WHERE projected_meter_id > %(after)s AND projected_meter_id <= %(last)s
      AND (reversed OR meter_id IS DISTINCT FROM projected_meter_id)
    UNION
    SELECT allocated_meter_id FROM payments
    WHERE allocated_meter_id > %(after)s AND allocated_meter_id <= %(last)s AND meter_id IS NULL
    UNION
    SELECT a.meter_id FROM meter_assignments a
    WHERE a.meter_id > %(after)s AND a.meter_id <= %(last)s AND a.active <> {in_effect}
) k
WHERE {selected_meters}
  AND NOT EXISTS (
      SELECT FROM meter_assignments a
      WHERE a.meter_id = k.meter_id AND a.meter_id > %(after)s AND a.meter_id <= %(last)s AND {in_effect});

-- name: selected_customers
-- A condition on `k.customer_id`. The hash spreads a sample evenly whatever the ids are, and is the same in each run.
(%(customers)s::bigint[] IS NULL OR k.customer_id = ANY(%(customers)s::bigint[]))
AND (%(sample)s::float8 IS NULL OR (hashint8extended(k.customer_id, 0) & 1048575) < %(sample)s::float8 * 1048576)

-- name: customers_since
-- A condition on `k.customer_id` that is checked once for each customer: it may read all its meters.
(%(since)s::timestamptz IS NULL
     OR EXISTS (SELECT FROM customer_balances c
                WHERE c.customer_id = k.customer_id AND c.updated_at >= %(since)s::timestamptz)
     OR EXISTS (SELECT FROM meter_balances m
                WHERE m.customer_id = k.customer_id AND m.updated_at >= %(since)s::timestamptz))

-- name: selected_meters
-- The same for `k.meter_id`.
(%(selected_meters)s::bigint[] IS NULL OR k.meter_id = ANY(%(selected_meters)s::bigint[]))
AND (%(sample)s::float8 IS NULL OR (hashint8extended(k.meter_id, 0) & 1048575) < %(sample)s::float8 * 1048576)
AND (%(since)s::timestamptz IS NULL
     OR EXISTS (SELECT FROM meter_balances m
                WHERE m.meter_id = k.meter_id AND m.updated_at >= %(since)s::timestamptz))

-- name: written_since
-- Whether row `k` was written by a transaction that was not over at a point in time, given as the least transaction id
-- in progress then. A row's xmin tells that for every writer, whenever it commits, while `updated_at` is when a
-- transaction began. Every row matches if no id is given, or one of another server.
(%(touched_xid)s::bigint IS NULL
 OR age((%(touched_xid)s::text::xid8)::xid) < 0
 OR age(k.xmin) <= age((%(touched_xid)s::text::xid8)::xid))
