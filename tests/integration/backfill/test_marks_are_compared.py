"""Every history row is compared with its marks, also where all totals agree; what was edited is named, and mended."""

from typing import Any, Final, NamedTuple

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill import runs
from backfill.carry_out import carry_out
from backfill.runs import SQL
from backfill.session import session
from tests.integration.backfill.conftest import Audit, Found

DERIVED: Final = {"marks", "balance", "overpayment"}


class Edit(NamedTuple):
    """What is done by hand, and at which meter it has to be found, with which cause and rows.

    `figures` are the columns of those meters that differ, too, but for those that derive from them. `before` is made
    true of history and projection first.
    """

    sql: str
    named: dict[int, dict[str, set[int]]]
    certain: bool = True
    figures: frozenset[tuple[int, str, str]] = frozenset()
    before: str = ""


CANCELLED: Final[dict[str, Edit]] = {
    "500 from one invoice to another": Edit(
        "UPDATE invoices SET amount = amount + 500 * (CASE invoice_id WHEN 1 THEN 1 ELSE -1 END)"
        " WHERE invoice_id IN (1, 12)",
        {1: {"history-changed": {1, 12}}}, certain=False,
    ),
    "50 from one payment to another": Edit(
        "UPDATE payments SET amount = amount + CASE payment_id WHEN 2 THEN 50 ELSE -50 END WHERE payment_id IN (2, 13)",
        {2: {"history-changed": {2, 13}}}, certain=False,
    ),
    "50 from a payment to one that follows its invoice": Edit(
        "UPDATE payments SET amount = amount + CASE payment_id WHEN 2 THEN 50 ELSE -50 END WHERE payment_id IN (2, 24)",
        {2: {"history-changed": {2, 24}}}, certain=False,
    ),
    "1 from a payment to one that was allocated": Edit(
        "UPDATE payments SET amount = amount + CASE payment_id WHEN 2 THEN 1 ELSE -1 END WHERE payment_id IN (2, 92)",
        {2: {"history-changed": {2, 92}}}, certain=False,
    ),
    "the amounts of two invoices swapped": Edit(
        "UPDATE invoices SET amount = 213 - amount WHERE invoice_id IN (1, 12)",
        {1: {"history-changed": {1, 12}}}, certain=False,
    ),
    "the meters of two invoices of one amount swapped": Edit(
        "UPDATE invoices SET meter_id = 3 - meter_id WHERE invoice_id IN (1, 2)",
        {1: {"history-moved": {1, 2}}, 2: {"history-moved": {1, 2}}}, certain=False,
        before="UPDATE invoices SET amount = 100 WHERE invoice_id IN (1, 2)",
    ),
    "the meters of two latest invoices of one amount swapped, which moves their dates": Edit(
        "UPDATE invoices SET meter_id = 3 - meter_id WHERE invoice_id IN (34, 35)",
        {1: {"history-moved": {34, 35}}, 2: {"history-moved": {34, 35}}},
        figures=frozenset({(1, "last_invoice_date", "history-moved"), (2, "last_invoice_date", "history-moved")}),
        before="UPDATE invoices SET amount = 100 WHERE invoice_id IN (34, 35)",
    ),
    "the marks of two latest invoices of one amount swapped": Edit(
        "UPDATE invoices SET projected_meter_id = 3 - projected_meter_id WHERE invoice_id IN (34, 35)",
        {1: {"marks-edited": {34, 35}}, 2: {"marks-edited": {34, 35}}},
        before="UPDATE invoices SET amount = 100 WHERE invoice_id IN (34, 35)",
    ),
    "the meters of two payments of one amount swapped": Edit(
        "UPDATE payments SET meter_id = 3 - meter_id WHERE payment_id IN (1, 2)",
        {1: {"history-moved": {1, 2}}, 2: {"history-moved": {1, 2}}}, certain=False,
        before="UPDATE payments SET amount = 100 WHERE payment_id IN (1, 2)",
    ),
    "one invoice voided, another of its amount no longer": Edit(
        "UPDATE invoices SET voided = NOT voided WHERE invoice_id IN (10, 21)",
        {10: {"history-changed": {10, 21}}}, certain=False,
        before="UPDATE invoices SET amount = 100 WHERE invoice_id IN (10, 21)",
    ),
    "one payment reversed, another of its amount no longer": Edit(
        "UPDATE payments SET reversed = NOT reversed WHERE payment_id IN (7, 18)",
        {7: {"history-changed": {7, 18}}}, certain=False,
        before="UPDATE payments SET amount = 100 WHERE payment_id IN (7, 18)",
    ),
    "two invoices change places, and their followers with them": Edit(
        "UPDATE invoices SET meter_id = 12 - meter_id WHERE invoice_id IN (4, 8)",
        {4: {"history-moved": {4, 8}}, 8: {"history-moved": {4, 8}}}, certain=False,
        before="UPDATE invoices SET amount = 100 WHERE invoice_id IN (4, 8);"
        "UPDATE payments SET amount = 100 WHERE payment_id IN (4, 8)",
    ),
    "an invoice of nothing moved, in the middle of others": Edit(
        "UPDATE invoices SET meter_id = 2 WHERE invoice_id = 1",
        {1: {"history-moved": {1}}, 2: {"history-moved": {1}}},
        figures=frozenset({(1, "invoice_count", "history-moved"), (2, "invoice_count", "history-moved")}),
        before="UPDATE invoices SET amount = 0 WHERE invoice_id = 1",
    ),
}  # fmt: skip
MARKS: Final[dict[str, Edit]] = {
    "an invoice's amount": Edit(
        "UPDATE invoices SET projected_amount = projected_amount + 7 WHERE invoice_id = 1", {1: {"marks-edited": {1}}}
    ),
    "a payment's amount": Edit(
        "UPDATE payments SET projected_amount = 0 WHERE payment_id = 1", {1: {"marks-edited": {1}}}
    ),
    "a payment's amount, which follows its invoice": Edit(
        "UPDATE payments SET projected_amount = projected_amount - 1 WHERE payment_id = 8", {8: {"marks-edited": {8}}}
    ),
    "a payment's amount, which was allocated": Edit(
        "UPDATE payments SET projected_amount = 8 WHERE payment_id = 92", {2: {"marks-edited": {92}}}
    ),
    "an invoice's meter": Edit(
        "UPDATE invoices SET projected_meter_id = 5 WHERE invoice_id = 1",
        {1: {"marks-edited": {1}}, 5: {"marks-edited": {1}}},
    ),
    "an invoice's meter, its amount left out": Edit(
        "UPDATE invoices SET projected_meter_id = 5, projected_amount = 0 WHERE invoice_id = 1",
        {1: {"marks-edited": {1}}, 5: {"marks-edited": {1}}},
    ),
    "a payment's meter": Edit(
        "UPDATE payments SET projected_meter_id = 5 WHERE payment_id = 1",
        {1: {"marks-edited": {1}}, 5: {"marks-edited": {1}}},
    ),
    "a follower's meter": Edit(
        "UPDATE payments SET projected_meter_id = 7 WHERE payment_id = 8",
        {8: {"marks-edited": {8}}, 7: {"marks-edited": {8}}},
    ),
    "a follower's meter, its amount left out": Edit(
        "UPDATE payments SET projected_meter_id = 7, projected_amount = 0 WHERE payment_id = 8",
        {8: {"marks-edited": {8}}, 7: {"marks-edited": {8}}},
    ),
    "the meter of one that was allocated": Edit(
        "UPDATE payments SET projected_meter_id = 4 WHERE payment_id = 92",
        {2: {"marks-edited": {92}}, 4: {"marks-edited": {92}}},
    ),
    "a meter of which nothing else is known": Edit(
        "UPDATE invoices SET projected_meter_id = 6000 WHERE invoice_id = 1",
        {1: {"marks-edited": {1}}, 6000: {"marks-edited": {1}}},
    ),
    "a meter of which nothing else is known, for a payment that belongs nowhere": Edit(
        "UPDATE payments SET projected_meter_id = 6000 WHERE payment_id = 91", {6000: {"marks-edited": {91}}}
    ),
    "none, as if it had never been counted": Edit(
        "UPDATE invoices SET projected_meter_id = NULL, projected_amount = 0 WHERE invoice_id = 1",
        {1: {"marks-edited": {1}}},
    ),
    "none of a follower": Edit(
        "UPDATE payments SET projected_meter_id = NULL, projected_amount = 0 WHERE payment_id = 8",
        {8: {"marks-edited": {8}}},
    ),
    "a voided invoice, as if it counted": Edit(
        "UPDATE invoices SET projected_meter_id = meter_id, projected_amount = amount WHERE invoice_id = 10",
        {10: {"marks-edited": {10}}},
    ),
    "a voided invoice, as if nothing of it counted": Edit(
        "UPDATE invoices SET projected_meter_id = meter_id WHERE invoice_id = 10", {10: {"marks-edited": {10}}}
    ),
    "a reversed payment, as if it counted": Edit(
        "UPDATE payments SET projected_meter_id = meter_id, projected_amount = 3 WHERE payment_id = 18",
        {7: {"marks-edited": {18}}},
    ),
    "a payment that belongs nowhere, as if it counted": Edit(
        "UPDATE payments SET projected_meter_id = 5, projected_amount = 5 WHERE payment_id = 91",
        {5: {"marks-edited": {91}}},
    ),
    "an invoice of a meter without a customer": Edit(
        "UPDATE invoices SET projected_amount = 0 WHERE invoice_id = 11", {11: {"marks-edited": {11}}}
    ),
    "two invoices, so that their sum is the same": Edit(
        "UPDATE invoices SET projected_amount = 213 - projected_amount WHERE invoice_id IN (1, 12)",
        {1: {"history-changed": {1, 12}}}, certain=False,
    ),
}  # fmt: skip
TOGETHER: Final[dict[str, Edit]] = {
    "an invoice, and the mark of another": Edit(
        "UPDATE invoices SET amount = amount + 7 WHERE invoice_id = 1;"
        "UPDATE invoices SET projected_amount = projected_amount - 3 WHERE invoice_id = 12",
        {1: {"history-changed": {1}, "marks-edited": {12}}},
        figures=frozenset({(1, "total_billed", "history-changed")}),
    ),
    "an invoice, the marks of two others, and where another of them counts": Edit(
        "UPDATE invoices SET amount = amount + 70 WHERE invoice_id = 1;"
        "UPDATE invoices SET projected_amount = projected_amount - 3 WHERE invoice_id IN (12, 23);"
        "UPDATE invoices SET meter_id = 2 WHERE invoice_id = 34",
        {1: {"history-changed": {1}, "history-moved": {34}, "marks-edited": {12, 23}}, 2: {"history-moved": {34}}},
        figures=frozenset({
            (1, "total_billed", "history-moved"), (1, "invoice_count", "history-moved"),
            (1, "last_invoice_date", "history-moved"), (2, "total_billed", "history-moved"),
            (2, "invoice_count", "history-moved"),
        }),
    ),
    "a mark removed, and the meter's total": Edit(
        "UPDATE invoices SET projected_meter_id = NULL, projected_amount = 0 WHERE invoice_id = 1;"
        "UPDATE meter_balances SET total_billed = total_billed + 5 WHERE meter_id = 1",
        {1: {"marks-edited": {1}}},
        figures=frozenset({(1, "total_billed", "projection-edited")}),
    ),
    "a mark, and the meter's date": Edit(
        "UPDATE invoices SET projected_amount = 1 WHERE invoice_id = 1;"
        "UPDATE meter_balances SET last_invoice_date = '2020-01-01' WHERE meter_id = 1",
        {1: {"marks-edited": {1}}},
        figures=frozenset({(1, "last_invoice_date", "date-edited")}),
    ),
    "a mark, and an invoice deleted": Edit(
        "UPDATE payments SET projected_amount = 1 WHERE payment_id = 1; DELETE FROM invoices WHERE invoice_id = 1",
        {1: {"marks-edited": {1}}},
        figures=frozenset({
            (1, "total_billed", "history-deleted"),
            (1, "invoice_count", "history-deleted"),
        }),
    ),
    "500 from one invoice to another, and the meter's total by more": Edit(
        "UPDATE invoices SET amount = amount + CASE invoice_id WHEN 1 THEN 500 ELSE -500 END"
        " WHERE invoice_id IN (1, 12);"
        "UPDATE meter_balances SET total_billed = total_billed + 1000 WHERE meter_id = 1",
        {1: {"history-changed": {1, 12}}}, certain=False,
        figures=frozenset({(1, "total_billed", "projection-edited")}),
    ),
    "a mark, beside a meter's row that is gone": Edit(
        "UPDATE invoices SET projected_amount = 1 WHERE invoice_id = 1; DELETE FROM meter_balances WHERE meter_id = 1",
        {1: {"history-changed": {1}}}, certain=False,
        figures=frozenset({
            (1, column, "row-missing") for column in (
                "customer_id", "total_billed", "total_paid", "invoice_count", "payment_count",
                "last_invoice_date", "last_payment_at",
            )
        }),
    ),
}  # fmt: skip
EDITS: Final = {**CANCELLED, **{f"marks: {name}": edit for name, edit in MARKS.items()}, **TOGETHER}


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
        ended = carry_out(connection, begun, stop=lambda: False, watch=lambda _: None)
        rows = connection.execute(SQL["findings"], {"run_id": ended.run_id, "limit": None}).fetchall()
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
