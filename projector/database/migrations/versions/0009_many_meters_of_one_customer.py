"""Indexes for customers with very many meters, and for meters that had many customers."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UPGRADE = """
-- A customer's first assignment is its first entry; the index that it replaces held the rest of it.
CREATE INDEX meter_assignments_of_customer ON meter_assignments (customer_id, assigned_at, assignment_id)
    INCLUDE (meter_id, active);
DROP INDEX meter_assignments_by_customer;
-- Whoever once had a meter; who has it now is in `meter_assignments_active`.
CREATE INDEX meter_assignments_ended ON meter_assignments (meter_id, customer_id, assignment_id) WHERE NOT active;
"""


def upgrade() -> None:
    """Build them; assignments are not written meanwhile, which takes about a second for a million of them."""
    op.execute(UPGRADE)
