-- Whose a meter is by history, for every statement that asks for one meter after another.

-- name: assigned_customer
-- The customer of meter `r.meter_id` as of the clock: of several assignments in effect the latest wins.
-- fill: in_effect
(SELECT a.customer_id FROM meter_assignments a
 WHERE a.meter_id = r.meter_id AND {in_effect}
 ORDER BY a.assigned_at DESC, a.assignment_id DESC LIMIT 1)
