-- The rule by which the auditor decides, from dates and clock in one snapshot, what a consumer stores as `active`.

-- name: in_effect
-- Whether assignment `a` is in effect as of the clock. One whose `ended` is null was loaded by hand: `active` says it.
CASE WHEN a.ended IS NULL THEN a.active
     ELSE NOT a.ended AND a.assigned_at <= (SELECT through FROM assignment_clock)
          AND coalesce(a.unassigned_at > (SELECT through FROM assignment_clock), true) END
