"""A chunk that was compared is repaired before the next one is begun: between the two it is `compared`."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATES = """
ALTER TABLE backfill_chunks
    DROP CONSTRAINT backfill_chunks_state,
    ADD CONSTRAINT backfill_chunks_state CHECK (state IN ('open', 'compared', 'repaired', 'done'));
"""


def upgrade() -> None:
    """Allow the state; `backfill_chunks` holds no more than the open work of runs that did not finish."""
    op.execute(STATES)
