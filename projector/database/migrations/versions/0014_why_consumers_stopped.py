"""Why consumers stopped, until the next one works: an operator, and an exporter, need not find the process's log."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STOPS = """
CREATE TABLE consumer_stops (
    group_id   text NOT NULL,
    host       text NOT NULL,
    reason     text NOT NULL,
    message    text NOT NULL,
    positions  jsonb NOT NULL,
    times      bigint NOT NULL DEFAULT 1,
    first_at   timestamptz NOT NULL DEFAULT now(),
    stopped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (group_id, host, reason),
    CONSTRAINT consumer_stops_reason CHECK (reason IN ('position', 'refusals', 'batch', 'group')),
    CONSTRAINT consumer_stops_times CHECK (times > 0)
);
"""


def upgrade() -> None:
    """Create the table; nobody waits for it."""
    op.execute(STOPS)
