"""Rounds of a run that repairs: what the stream or a repair touched meanwhile is compared once more.

A run that was begun before knows no moment since when to look, and so compares everything in its later rounds.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

RUNS = """
ALTER TABLE backfill_runs ADD COLUMN round integer NOT NULL DEFAULT 1, ADD COLUMN round_xid bigint,
    ADD COLUMN touched_xid bigint;
"""

CHUNKS = """
ALTER TABLE backfill_chunks ADD COLUMN round integer NOT NULL DEFAULT 1;
ALTER TABLE backfill_chunks DROP CONSTRAINT backfill_chunks_pkey,
    ADD CONSTRAINT backfill_chunks_pkey PRIMARY KEY (run_id, round, phase, after_key);
"""

FINDINGS = """
ALTER TABLE drift ADD COLUMN round integer NOT NULL DEFAULT 1, ADD COLUMN owners bigint[];
"""

TOUCHED = """
CREATE TABLE backfill_touched (
    run_id                  uuid NOT NULL REFERENCES backfill_runs ON DELETE CASCADE,
    entity                  text NOT NULL,
    entity_id               bigint NOT NULL,
    PRIMARY KEY (run_id, entity, entity_id),
    CONSTRAINT backfill_touched_entity CHECK (entity IN ('meter', 'customer'))
);
"""


def upgrade() -> None:
    """Add to what is there; `backfill_chunks` holds no more than the open work of runs that did not finish."""
    for statements in (RUNS, CHUNKS, FINDINGS, TOUCHED):
        op.execute(statements)
