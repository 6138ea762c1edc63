"""Every history row is compared with its marks, also where all totals agree; what was edited is named, and mended."""

from typing import Any, Final

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution.pool import run_pool
from backfill.runs import store as runs
from backfill.runs.drift import findings
from backfill.runs.session import session
from tests.integration.backfill.conftest import Audit, Found
from tests.integration.backfill.mark_edits import EDITS, Edit

DERIVED: Final = {"marks", "balance", "overpayment"}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_every_contradicting_row_is_found_named_and_mended(database: Connection[Any], audit: Audit, edit: Edit) -> None:
    database.execute(edit.before.encode())
    audit("rebuild")
    rows = "SELECT sum(total_billed), sum(total_paid) FROM meter_balances"
    database.execute(edit.sql.encode())

    run, found = audit()
    marks = {each.entity_id: each for each in found if each.column == "marks"}
    assert {meter: _rows_by_cause(each) for meter, each in marks.items()} == edit.named
    assert all(each.cause in edit.named[meter] for meter, each in marks.items())
    assert all(("uncertain" in each.evidence) is not edit.certain for each in marks.values())
    figures = {(each.entity_id, each.column, each.cause) for each in found if each.entity == "meter"}
    assert {each for each in figures if each[1] not in DERIVED} == edit.figures
    assert run.tally.drifted_meters == len({each[0] for each in figures})

    rebuilt, same = audit("rebuild")
    assert [each[:8] for each in same] == [each[:8] for each in found]
    assert (rebuilt.tally.repaired, rebuilt.tally.unrepaired) == (rebuilt.tally.drifted, 0)
    assert audit()[1] == []
    assert (
        database.execute(rows).fetchone()
        == database.execute(
            "SELECT (SELECT sum(amount) FROM invoices WHERE NOT voided),"
            " (SELECT sum(amount) FROM payments WHERE NOT reversed AND payment_id <> 91)"
        ).fetchone()
    )


def test_a_genuine_version_after_a_mended_mark_keeps_the_balance(database: Connection[Any], audit: Audit) -> None:
    """What the projection subtracts of a row is its mark, so one that is mended in time does no harm."""
    paid = "SELECT total_paid FROM meter_balances WHERE meter_id = 1"
    before = database.execute(paid).fetchone()
    database.execute("UPDATE payments SET projected_amount = 1 WHERE payment_id = 1")
    audit("rebuild")
    assert database.execute("SELECT projected_amount = amount FROM payments WHERE payment_id = 1").fetchone() == (True,)
    assert database.execute(paid).fetchone() == before


@pytest.mark.parametrize(
    ("selection", "meters"),
    [
        ({"meters": [7]}, {7, 8}),
        ({"meters": [5000]}, {5000}),
        ({"customers": [4]}, {7, 8}),
        ({"customers": [1]}, set()),
    ],
)
def test_a_limited_run_finds_those_of_its_meters(
    database: Connection[Any], engine: Engine, selection: dict[str, list[int]], meters: set[int]
) -> None:
    """Payment 8, which follows invoice 8, was counted at meter 8; customer 4 has the meters 7 and 8."""
    database.execute("UPDATE payments SET projected_meter_id = 7 WHERE payment_id = 8")
    database.execute("UPDATE payments SET projected_meter_id = 5000 WHERE payment_id = 91")
    with session(engine) as connection:
        begun = runs.begin(connection, "drift-check", {"selection": selection})
        ended = run_pool(connection, begun, stop=lambda: False, watch=lambda _: None)
        rows = findings(connection, ended, None)
    assert {entity_id for _, entity_id, *_ in rows} == meters
    assert (ended.tally.drifted_meters, ended.tally.drifted_customers) == (len(meters), 0)


@pytest.mark.parametrize("at_a_time", [1, 1000])
def test_many_rows_are_counted_and_the_first_are_named(database: Connection[Any], audit: Audit, at_a_time: int) -> None:
    """More than are tried choice by choice, and more than are named."""
    database.execute(
        "INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date, source_offset)"
        " SELECT 1000 + n, 1, n, 'KES', '2025-01-01', n FROM generate_series(1, 60) n"
    )
    audit("rebuild")
    database.execute(
        "UPDATE invoices SET projected_amount = projected_amount + 1 WHERE invoice_id > 1000 AND invoice_id <= %s",
        [1000 + min(60, 7 * at_a_time)],
    )
    (found,) = audit()[1]
    named = {1: 7, 1000: 60}[at_a_time]
    assert (found.entity_id, found.column, found.cause, found.recorded) == (1, "marks", "marks-edited", str(named))
    (part,) = found.evidence["history"]
    assert (part["rows"], part["field"], len(part["ids"])) == (named, "projected_amount", min(named, 20))


def _rows_by_cause(found: Found) -> dict[str, set[int]]:
    parts: dict[str, set[int]] = {}
    for part in found.evidence["history"]:
        parts.setdefault(part["cause"], set()).update(part["ids"])
    return parts
