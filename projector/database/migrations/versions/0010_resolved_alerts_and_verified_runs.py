"""Alerts that are no longer open are `resolved`; and which runs compared everything, as views.

An alert's state was `over`, and the member of its document that names a command `look_closer`. Both are stored, and
sent again where an address has not got them yet.

The views are the one place that knows how a run's row says what it covered and whether a chunk failed. The auditor's
role writes those columns as it likes, so what is no sensible number counts as none. They read with the rights of
whoever asks.
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

RUNS = """
CREATE VIEW whole_runs WITH (security_invoker = true) AS
SELECT run_id, command, state, started_at, finished_at,
       jsonb_path_query_first(tally, '$.failed ? (@ >= 0 && @ <= 1000000000)')::integer AS failed_chunks,
       jsonb_path_query_first(options, '$.promised_seconds ? (@ >= 0 && @ <= 1000000000)')::float8 AS promised_seconds
FROM backfill_runs
WHERE command IN ('drift-check', 'rebuild') AND NOT options ? 'selection';
COMMENT ON VIEW whole_runs IS 'Runs that compare, or compared, every meter and every customer.';
CREATE VIEW verified_runs WITH (security_invoker = true) AS
SELECT w.run_id, w.command, w.started_at, w.finished_at
FROM whole_runs w
JOIN backfill_runs r USING (run_id)
WHERE r.state = 'finished' AND r.tally -> 'failed' = '0';
COMMENT ON VIEW verified_runs IS 'Of these, the finished runs in which no chunk failed, whatever they found.';
"""


def upgrade() -> None:
    """Rename the state and the member in what is stored, then create the views."""
    for statements in (ALERTS, RUNS):
        op.execute(statements)
