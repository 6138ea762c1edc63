"""An assignment is in effect from its begin to its end, as of a stored clock.

Until now `active` said whether the latest event of an assignment had no end date, so a date ahead took effect at once.
Now it says whether the assignment is in effect as of `assignment_clock`, which consumers move forward. `ended` is what
`active` alone cannot tell: an assignment that ended without a date, from one that has not begun.

Each row keeps the meaning it had, except where a date lies ahead: there `active`, the meter's customer and both
customers' sums are set here to what they are today. A row that was set active by hand although its end has passed keeps
`active` as its only word, like any row that is loaded without `ended`.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

QUIESCE = """
-- A batch locks its positions first. So none is half done, and none begins before the commit.
LOCK TABLE positions IN EXCLUSIVE MODE;
"""

CLOCK = """
CREATE TABLE assignment_clock (
    only_one                boolean PRIMARY KEY DEFAULT true,
    through                 timestamptz NOT NULL,
    CONSTRAINT assignment_clock_is_one CHECK (only_one),
    CONSTRAINT assignment_clock_is_finite CHECK (isfinite(through))
);
INSERT INTO assignment_clock (through) VALUES (now());
"""

ENDED = """
ALTER TABLE meter_assignments ADD COLUMN ended boolean;
UPDATE meter_assignments SET ended = unassigned_at IS NULL AND NOT active
WHERE unassigned_at IS NULL OR NOT active;
"""

DATES_AHEAD = """
UPDATE meter_assignments SET active = NOT active
WHERE ended IS NOT NULL
  AND active <> (NOT ended AND assigned_at <= now() AND coalesce(unassigned_at > now(), true));
WITH moved AS (
    UPDATE meter_balances m SET customer_id = owner.customer_id, updated_at = now()
    FROM (SELECT DISTINCT meter_id FROM meter_assignments WHERE assigned_at > now() OR unassigned_at > now()) ahead
    LEFT JOIN LATERAL (
        SELECT a.customer_id FROM meter_assignments a
        WHERE a.meter_id = ahead.meter_id AND a.active
        ORDER BY a.assigned_at DESC, a.assignment_id DESC LIMIT 1
    ) owner ON true
    WHERE m.meter_id = ahead.meter_id AND m.customer_id IS DISTINCT FROM owner.customer_id
    RETURNING old.customer_id AS former, new.customer_id AS present, new.balance, new.overpayment, new.total_billed,
              new.total_paid
),
shifts AS (
    SELECT former AS customer_id, -balance AS balance, -overpayment AS overpayment, -total_billed AS total_billed,
           -total_paid AS total_paid, -1 AS meters
    FROM moved WHERE former IS NOT NULL
    UNION ALL
    SELECT present, balance, overpayment, total_billed, total_paid, 1 FROM moved WHERE present IS NOT NULL
)
INSERT INTO customer_balances AS stored (customer_id, balance, overpayment, total_billed, total_paid, active_meters)
SELECT customer_id, sum(balance), sum(overpayment), sum(total_billed), sum(total_paid), sum(meters)
FROM shifts GROUP BY customer_id ORDER BY customer_id
ON CONFLICT (customer_id) DO UPDATE SET
    balance = stored.balance + excluded.balance, overpayment = stored.overpayment + excluded.overpayment,
    total_billed = stored.total_billed + excluded.total_billed, total_paid = stored.total_paid + excluded.total_paid,
    active_meters = stored.active_meters + excluded.active_meters, updated_at = now();
"""

INDEXES = """
-- What is due next: begins of assignments that are not in effect, and ends of those that are.
CREATE INDEX meter_assignments_begins ON meter_assignments (assigned_at) WHERE NOT active AND NOT ended;
CREATE INDEX meter_assignments_ends ON meter_assignments (unassigned_at)
    WHERE active AND NOT ended AND unassigned_at IS NOT NULL;
-- All that an auditor needs of a meter's assignments: it computes by their dates which are in effect.
CREATE INDEX meter_assignments_of_meter ON meter_assignments (meter_id, assigned_at DESC, assignment_id DESC)
    INCLUDE (customer_id, unassigned_at, active, ended);
DROP INDEX meter_assignments_ended;
-- The same for a customer's.
DROP INDEX meter_assignments_of_customer;
CREATE INDEX meter_assignments_of_customer ON meter_assignments (customer_id, assigned_at, assignment_id)
    INCLUDE (meter_id, unassigned_at, active, ended);
"""


def upgrade() -> None:
    """Add the clock and the column, put the dates ahead right, and index what is read from now on."""
    for statements in (QUIESCE, CLOCK, ENDED, DATES_AHEAD, INDEXES):
        op.execute(statements)
