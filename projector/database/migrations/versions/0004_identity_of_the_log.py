"""What identifies the log that a position and a dead letter belong to."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

POSITIONS = """
ALTER TABLE positions
    ADD COLUMN last_offset       bigint,
    ADD COLUMN last_leader_epoch integer,
    ADD COLUMN last_timestamp_ms bigint,
    ADD COLUMN last_digest       bytea;
"""

DEAD_LETTERS = """
ALTER TABLE dead_letters
    ADD COLUMN topic_id text,
    ADD COLUMN digest   bytea,
    DROP CONSTRAINT dead_letters_once_a_message,
    ADD CONSTRAINT dead_letters_once_a_message
        UNIQUE NULLS NOT DISTINCT (topic, partition, source_offset, timestamp_ms, topic_id, digest);
"""


def upgrade() -> None:
    """Add to what is there: no row is rewritten, and what was not known stays null until it is."""
    for statements in (POSITIONS, DEAD_LETTERS):
        op.execute(statements)
