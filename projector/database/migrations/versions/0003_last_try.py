"""Who tried a dead letter again last, and when: a try that failed used to leave nothing but its count."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TRIES = """
ALTER TABLE dead_letters ADD COLUMN tried_at timestamptz, ADD COLUMN tried_by text;
"""


def upgrade() -> None:
    """Add to what is there; what was tried before keeps null for what was not known."""
    op.execute(TRIES)
