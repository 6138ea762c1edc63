-- The table of alerts, and the drift to alert on.

-- name: open_drift
-- What a run found and what has not been repaired since, by cause. The amount of an entity is the largest difference
-- among its money columns, because those of one row describe the same money. The digest leaves out what changes with
-- traffic while the drift stays the same: balances, which are derived from totals, and dates.
WITH unrepaired AS (
    SELECT d.cause, d.entity, d.entity_id, d.column_name, d.recorded, d.expected, d.difference,
           d.column_name IN ('total_billed', 'total_paid', 'invoice_count', 'payment_count', 'active_meters',
                             'customer_id', 'marks') OR d.cause = 'customer-sum-off' AS steady
    FROM drift d
    WHERE d.run_id = %(run_id)s
      AND NOT EXISTS (SELECT FROM drift later
                      WHERE later.entity = d.entity AND later.entity_id = d.entity_id
                        AND later.repaired_at > d.found_at)
),
entities AS (
    SELECT cause, entity, entity_id, count(*) AS findings,
           coalesce(max(abs(difference)) FILTER (
               WHERE column_name IN ('total_billed', 'total_paid', 'balance', 'overpayment')), 0) AS amount,
           hashtextextended(concat(entity, entity_id), 0)::numeric
           + coalesce(sum(hashtextextended(
                 concat_ws(' ', entity, entity_id, column_name, coalesce(trim_scale(difference)::text,
                           concat(recorded, '>', expected))), 0)::numeric) FILTER (WHERE steady), 0) AS digest
    FROM unrepaired
    GROUP BY cause, entity, entity_id
)
SELECT cause, sum(digest)::text AS digest, sum(amount) AS amount,
       count(*) FILTER (WHERE entity = 'meter') AS meters,
       count(*) FILTER (WHERE entity = 'customer') AS customers,
       sum(findings)::bigint AS findings,
       coalesce((array_agg(entity_id ORDER BY entity_id) FILTER (WHERE entity = 'meter'))[1:%(ids_max)s], '{}')
           AS first_meters,
       coalesce((array_agg(entity_id ORDER BY entity_id) FILTER (WHERE entity = 'customer'))[1:%(ids_max)s], '{}')
           AS first_customers
FROM entities
GROUP BY cause;

-- name: last_alerts
-- The last alert of each cause.
SELECT DISTINCT ON (cause) cause, state, digest, document
FROM alerts
ORDER BY cause, alert_id DESC;

-- name: resolved_causes
-- Causes with an open alert of which everything that its run found has been repaired since.
SELECT a.cause
FROM (SELECT DISTINCT ON (cause) cause, state, run_id FROM alerts ORDER BY cause, alert_id DESC) a
WHERE a.state <> 'resolved'
  AND EXISTS (SELECT FROM drift d WHERE d.run_id = a.run_id AND d.cause = a.cause)
  AND NOT EXISTS (
      SELECT FROM drift d
      WHERE d.run_id = a.run_id AND d.cause = a.cause
        AND NOT EXISTS (SELECT FROM drift later WHERE later.entity = d.entity AND later.entity_id = d.entity_id
                                                  AND later.repaired_at > d.found_at));

-- name: save_alert
-- Store an alert before it is sent, so that a process killed in between sends it when it is started again.
INSERT INTO alerts (run_id, cause, state, digest, document, delivered_to)
VALUES (%(run_id)s, %(cause)s, %(state)s, %(digest)s, %(document)s, %(delivered_to)s);

-- name: undelivered_alerts
-- What an address has not got yet: the last alert of each cause, and a resolved one only if the address knows the cause
-- as open.
SELECT a.alert_id, a.document
FROM (SELECT DISTINCT ON (cause) * FROM alerts ORDER BY cause, alert_id DESC) a
WHERE NOT %(address)s = ANY (a.delivered_to)
  AND (a.state <> 'resolved'
       OR 'resolved' <> (SELECT b.state FROM alerts b
                     WHERE b.cause = a.cause AND %(address)s = ANY (b.delivered_to)
                     ORDER BY b.alert_id DESC LIMIT 1))
ORDER BY a.alert_id;

-- name: mark_delivered
-- Record that an address took it.
UPDATE alerts SET delivered_to = array_append(delivered_to, %(address)s) WHERE alert_id = %(alert_id)s;
