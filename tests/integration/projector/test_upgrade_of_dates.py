"""After an upgrade from when a date ahead took effect at once, what is in effect now is, and nothing else moved."""

from typing import Final, NamedTuple

from sqlalchemy import text

from events.runtime.settings import Settings
from projector.deployment import schema
from tests.support import old_schema
from tests.support.merge_harness import day
from tests.support.oracle import differences, recomputed
from tests.support.recorded import read_projection


class Row(NamedTuple):
    """An assignment: begin and end in days from now, `active` as it was; then as it has to be, and `ended`."""

    begin: float
    end: float | None
    was: str
    active: str
    ended: str | None


YES: Final = "true"
NO: Final = "false"
ROWS: Final = {
    1: Row(-99, None, YES, YES, NO),
    2: Row(-99, None, NO, NO, YES),
    3: Row(-99, -1, NO, NO, NO),
    4: Row(-99, 1, NO, YES, NO),
    5: Row(1, None, YES, NO, NO),
    6: Row(1, 2, NO, NO, NO),
    7: Row(-99, -1, YES, YES, None),  # edited by hand
}
"""By assignment, each of a meter and a customer of its own."""
ASSIGN: Final = """
INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, unassigned_at, active)
VALUES (:key, :key, :key, :begin, :end, CAST(:active AS boolean))
"""
BALANCES: Final = """
INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date, projected_meter_id, projected_amount)
SELECT meter_id, meter_id, 10, 'KES', '2026-01-31', meter_id, 10 FROM meter_assignments;
INSERT INTO meter_balances (meter_id, customer_id, total_billed, invoice_count, last_invoice_date)
SELECT meter_id, CASE WHEN active THEN customer_id END, 10, 1, '2026-01-31' FROM meter_assignments;
INSERT INTO customer_balances (customer_id, balance, total_billed, active_meters)
SELECT customer_id, 10, 10, 1 FROM meter_assignments WHERE active;
"""


def test_dates_ahead_are_put_right_and_all_else_stays(settings: Settings) -> None:
    with old_schema.before(settings, "0013") as older:
        with older.begin() as connection:
            for key, row in ROWS.items():
                dates = {"begin": day(row.begin), "end": None if row.end is None else day(row.end)}
                connection.execute(text(ASSIGN), {"key": key, "active": row.was, **dates})
            connection.execute(text(BALANCES))
        schema.upgrade(older, old_schema.NAME)
        with older.connect() as connection:
            recorded = read_projection(connection)
    assignments = recorded.meter_assignments
    assert {key: (_word(row["active"]), _word(row["ended"])) for key, row in assignments.items()} == {
        key: (row.active, row.ended) for key, row in ROWS.items()
    }
    assert {key: row["customer_id"] for key, row in recorded.meter_balances.items()} == {
        key: key if row.active == YES else None for key, row in ROWS.items()
    }
    assert not differences(recomputed(recorded), recorded)


def _word(value: bool | None) -> str | None:  # noqa: FBT001 - a column's value
    return None if value is None else str(value).lower()
