-- How far the figures of one meter or customer can be trusted.

-- name: meter
-- As of when the balance of a meter is applied, whether it was written since it was compared, and the run that did.
-- fill: compared
SELECT t.applied_at, t.changed_since, {compared}
FROM meter_trust() t
LEFT JOIN backfill_runs r ON r.run_id = t.verified_by
WHERE t.meter_id = %(id)s;

-- name: customer
-- The same of a customer.
-- fill: compared
SELECT t.applied_at, t.changed_since, {compared}
FROM customer_trust() t
LEFT JOIN backfill_runs r ON r.run_id = t.verified_by
WHERE t.customer_id = %(id)s;

-- name: compared
-- Run `r` that compared it.
r.run_id, r.command, r.started_at, r.finished_at

-- name: open_findings
-- Its open findings, by cause: the largest amount first.
SELECT o.cause, o.findings, o.amount, o.run_id, r.command
FROM open_findings() o
JOIN backfill_runs r USING (run_id)
WHERE o.entity = %(entity)s AND o.entity_id = %(id)s
ORDER BY o.amount DESC, o.cause;
