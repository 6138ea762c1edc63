-- The clock of assignments, and what is due when it moves. An assignment whose `ended` is null was loaded by hand, and
-- the clock never changes it. PostgreSQL's time decides, never this machine's.

-- name: seconds_to_next_change
-- How long until an assignment begins or ends; zero or less: one is due; null: none is ahead of the clock.
SELECT extract(epoch FROM least(
           (SELECT min(a.assigned_at) FROM meter_assignments a
            WHERE NOT a.active AND NOT a.ended AND a.assigned_at > c.through),
           (SELECT min(a.unassigned_at) FROM meter_assignments a
            WHERE a.active AND NOT a.ended AND a.unassigned_at > c.through)
       ) - clock_timestamp())::float8
FROM assignment_clock c;

-- name: move_clock
-- Lock the clock exclusively, and move it to the beginning of this transaction. No row: it is past that, because
-- another consumer has moved it, or because another server took over whose time is behind.
UPDATE assignment_clock SET through = now() WHERE through < now() RETURNING old.through, new.through;

-- name: due
-- The assignments that begin or end after the old clock and up to the new one.
SELECT assignment_id FROM meter_assignments
WHERE NOT active AND NOT ended AND assigned_at > %(old)s AND assigned_at <= %(new)s
  AND coalesce(unassigned_at > %(new)s, true)
UNION ALL
SELECT assignment_id FROM meter_assignments
WHERE active AND NOT ended AND unassigned_at > %(old)s AND unassigned_at <= %(new)s
ORDER BY assignment_id;

-- name: change
-- Set `active` of some that are due, and record that their meters' customers are to be determined, and which customers
-- may gain a meter.
WITH changed AS (
    UPDATE meter_assignments SET active = NOT active
    WHERE assignment_id = ANY(%(ids)s::bigint[])
    RETURNING meter_id, customer_id
)
INSERT INTO changes (meter_id, assignee, reassigned)
SELECT meter_id, customer_id, true FROM changed;
