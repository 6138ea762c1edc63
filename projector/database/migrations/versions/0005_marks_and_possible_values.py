"""Rows that contradict their marks have an index, and no table holds a key or a value that no event can carry.

A comparison pages through positive keys and adds up numbers: a row with another key would not be compared, and one that
holds NaN makes every sum that it is part of NaN. What the stream writes fits: ids of events are positive, their money,
dates and timestamps finite; a row by which an absent invoice or payment is locked has version 0, an amount of zero and
the first of dates. History that was loaded by hand may have version 0, but none below, which such a lock would replace.

Each table is read once, and is locked meanwhile, so stop the consumers first or expect them to wait.
"""

from collections.abc import Mapping
from typing import Final

from alembic import op
from sqlalchemy import text

from events.runtime.errors import StateError

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY: Final = "{} > 0"
VERSION: Final = "{} >= 0"
NUMBER: Final = "{} <> 'NaN'"
FINITE: Final = "isfinite({})"

POSSIBLE: Final[Mapping[str, Mapping[str, str]]] = {
    "invoices": {
        "invoice_id": KEY, "version": VERSION, "meter_id": KEY, "customer_id": KEY, "projected_meter_id": KEY,
        "amount": NUMBER, "balance_brought_forward": NUMBER, "projected_amount": NUMBER,
        "invoice_date": FINITE, "due_date": FINITE,
    },
    "payments": {
        "payment_id": KEY, "version": VERSION, "meter_id": KEY, "customer_id": KEY, "invoice_id": KEY,
        "allocated_meter_id": KEY, "projected_meter_id": KEY,
        "amount": NUMBER, "projected_amount": NUMBER, "paid_at": FINITE,
    },
    "meter_assignments": {
        "assignment_id": KEY, "version": VERSION, "meter_id": KEY, "customer_id": KEY,
        "assigned_at": FINITE, "unassigned_at": FINITE,
    },
    "customers": {"customer_id": KEY, "version": VERSION},
    "meter_balances": {
        "meter_id": KEY, "customer_id": KEY, "total_billed": NUMBER, "total_paid": NUMBER,
        "last_invoice_date": FINITE, "last_payment_at": FINITE,
    },
    "customer_balances": {
        "customer_id": KEY, "balance": NUMBER, "overpayment": NUMBER, "total_billed": NUMBER, "total_paid": NUMBER,
    },
}  # fmt: skip
"""Each table, its own key first, and what has to hold of each column that is not null."""
WAYS_OUT: Final = {
    "history": "correct or delete it, run `projector init` again, then `backfill rebuild`",
    "projection": "delete it, run `projector init` again, then `backfill rebuild`, which writes it anew",
}

CONTRADICTING: Final = """
CREATE INDEX invoices_contradicting ON invoices (meter_id)
    WHERE NOT voided AND meter_id IS NOT NULL
      AND (projected_meter_id, projected_amount) IS DISTINCT FROM (meter_id, amount);
CREATE INDEX payments_contradicting ON payments (meter_id)
    WHERE NOT reversed AND meter_id IS NOT NULL
      AND (projected_meter_id, projected_amount) IS DISTINCT FROM (meter_id, amount);
"""


def upgrade() -> None:
    """Refuse to go on where a row is in the way; else constrain each table, reading it once."""
    for table, columns in POSSIBLE.items():
        _require_possible(table, columns)
        keys, values = (
            " AND ".join(rule.format(column) for column, rule in columns.items() if (rule in {KEY, VERSION}) is of_keys)
            for of_keys in (True, False)
        )
        finite = f", ADD CONSTRAINT {table}_values_are_finite CHECK ({values})" if values else ""
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_keys_are_positive CHECK ({keys}){finite}")
    op.execute(CONTRADICTING)


def _require_possible(table: str, columns: Mapping[str, str]) -> None:
    """Look for a row that the constraints would refuse, and name it with its columns.

    Raises:
        StateError: there is one.

    """
    key = next(iter(columns))
    broken = {column: f"NOT ({rule.format(column)})" for column, rule in columns.items()}
    named = ", ".join(f"CASE WHEN {test} THEN '{column} ' || {column}::text END" for column, test in broken.items())
    found = op.get_bind().execute(
        text(
            f"SELECT {key}, concat_ws(', ', {named}), count(*) OVER ()"
            f" FROM {table} WHERE {' OR '.join(broken.values())} ORDER BY {key} LIMIT 1"
        )
    )
    for row_id, what, rows in found:
        more = f" (and {rows - 1:,} more rows of it like that)" if rows > 1 else ""
        way_out = WAYS_OUT["projection" if table.endswith("_balances") else "history"]
        raise StateError(
            f"table {table}, row {row_id}{more}: {what} is no possible value, and nothing was changed; {way_out}"
        )
