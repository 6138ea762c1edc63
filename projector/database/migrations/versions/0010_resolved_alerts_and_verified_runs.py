"""Alerts that are no longer open are `resolved`; and which runs compared everything, as computed columns.

An alert's state was `over`, and the member of its document that names a command `look_closer`. Both are stored, and
sent again where an address has not got them yet.

The columns are the one place that knows how a run's row says what it covered and whether a chunk failed. They are no
view, because every session refuses to read views (see projector/database/session_settings.py). The auditor's role
writes what they are computed from as it likes, so what is no sensible number counts as none, and they are computed
when they are read: a strange value fails nobody's write.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ALERTS = """
ALTER TABLE alerts DROP CONSTRAINT alerts_state;
UPDATE alerts SET
    state = CASE state WHEN 'over' THEN 'resolved' ELSE state END,
    document = (
        SELECT json_object_agg(
                   CASE key WHEN 'look_closer' THEN 'suggested_command' ELSE key END,
                   CASE WHEN key = 'state' AND value #>> '{}' = 'over' THEN '"resolved"'::json ELSE value END
                   ORDER BY position)
        FROM json_each(document) WITH ORDINALITY AS members (key, value, position))
WHERE json_typeof(document) = 'object';
ALTER TABLE alerts ADD CONSTRAINT alerts_state CHECK (state IN ('raised', 'changed', 'resolved'));
"""

WHOLE = "command IN ('drift-check', 'rebuild') AND NOT options ? 'selection'"
SENSIBLE = "? (@ >= 0 && @ <= 1000000000)"
RUNS = f"""
ALTER TABLE backfill_runs
    ADD COLUMN covers_all boolean GENERATED ALWAYS AS ({WHOLE}) VIRTUAL,
    ADD COLUMN verified boolean GENERATED ALWAYS AS (
        {WHOLE} AND state = 'finished' AND tally -> 'failed' = '0') VIRTUAL,
    ADD COLUMN failed_chunks integer GENERATED ALWAYS AS (
        jsonb_path_query_first(tally, '$.failed {SENSIBLE}')::integer) VIRTUAL,
    ADD COLUMN promised_seconds float8 GENERATED ALWAYS AS (
        jsonb_path_query_first(options, '$.promised_seconds {SENSIBLE}')::float8) VIRTUAL;
COMMENT ON COLUMN backfill_runs.covers_all IS 'It compares, or compared, every meter and every customer.';
COMMENT ON COLUMN backfill_runs.verified IS 'It covered all and finished, and no chunk failed, whatever it found.';
COMMENT ON COLUMN backfill_runs.promised_seconds IS 'How often a schedule promises such a run.';
"""


def upgrade() -> None:
    """Rename the state and the member in what is stored, then add the columns."""
    for statements in (ALERTS, RUNS):
        op.execute(statements)
