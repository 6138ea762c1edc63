"""Up to which offset conflicts were counted, so that a replay does not count them again."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

POSITIONS = """
ALTER TABLE positions
    ADD COLUMN conflicts_counted_to bigint NOT NULL DEFAULT 0;
UPDATE positions SET conflicts_counted_to = next_offset;
"""


def upgrade() -> None:
    """Add the column, as if no position had ever been set back; positions have one row for each partition."""
    op.execute(POSITIONS)
