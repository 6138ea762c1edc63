"""Chunks that several workers share, where a finding holds, and how long a consumer's transactions take."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHUNKS = """
CREATE TABLE backfill_chunks (
    run_id                  uuid NOT NULL REFERENCES backfill_runs ON DELETE CASCADE,
    phase                   text NOT NULL,
    after_key               bigint NOT NULL,
    last_key                bigint NOT NULL,
    state                   text NOT NULL DEFAULT 'open',
    tally                   jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (run_id, phase, after_key),
    CONSTRAINT backfill_chunks_hold_a_key CHECK (after_key < last_key),
    CONSTRAINT backfill_chunks_state CHECK (state IN ('open', 'repaired', 'done'))
) WITH (fillfactor = 50);
"""

FINDINGS = """
ALTER TABLE drift ADD COLUMN positions jsonb;
ALTER TABLE drift SET (fillfactor = 60);
"""

CONSUMERS = """
ALTER TABLE positions ADD COLUMN transaction_ms double precision;
"""


def upgrade() -> None:
    """Add to what is there; rows that exist keep null for what was not known."""
    for statements in (CHUNKS, FINDINGS, CONSUMERS):
        op.execute(statements)
