"""After an upgrade, runs from before it count for how far a figure can be trusted."""

from typing import Final

from sqlalchemy import text

from events.runtime.settings import Settings
from projector.deployment import schema
from tests.support import old_schema

ROWS: Final = """
INSERT INTO meter_balances (meter_id, total_billed) VALUES (1, 10), (2, 20);
INSERT INTO backfill_runs (run_id, command, state, tally, finished_at, round_xid)
SELECT uuidv7(), 'drift-check', 'finished', '{"failed": 0}', now(), txid_current() + 1;
INSERT INTO drift (run_id, entity, entity_id, column_name, recorded, expected, difference, cause)
SELECT run_id, 'meter', 2, 'total_billed', '20', '15', -5, 'projection-edited' FROM backfill_runs;
"""
TRUST: Final = """
SELECT meter_id, verified_by = run_id, changed_since, finding_cause, finding_amount::text
FROM meter_trust() CROSS JOIN backfill_runs ORDER BY meter_id
"""


def test_runs_from_before_count(settings: Settings) -> None:
    with old_schema.before(settings, "0015") as older:
        with older.begin() as connection:
            connection.execute(text(ROWS))
        schema.upgrade(older, old_schema.NAME)
        with older.connect() as connection:
            found = [tuple(row) for row in connection.execute(text(TRUST))]
    assert found == [(1, True, False, None, None), (2, True, False, "projection-edited", "5")]
