"""A report's findings: a block for each entity, and what of its evidence was edited, and by how much."""

from datetime import UTC
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from backfill.reports.drift_report import blocks, describe_evidence


@pytest.mark.parametrize(
    ("amount", "rows", "words"),
    [
        ("-300.00", 0, "the balance row was edited by +300.00; history counts the same rows"),
        ("300.00", 0, "the balance row was edited by -300.00; history counts the same rows"),
        ("-300.00", -1, "the balance row counts 1 row and +300.00 that history does not have"),
        ("5250.00", 2, "history counts 2 rows and +5,250.00 that the balance row does not have"),
    ],
)
def test_what_no_history_row_explains_is_said_of_the_balance_row(amount: str, rows: int, words: str) -> None:
    """The amount is what was counted, less what is recorded: more recorded than counted is an edit upwards."""
    assert describe_evidence({"projection": {"amount": amount, "rows": rows}}) == words


def _edited(rows: int, *ids: int) -> dict[str, Any]:
    return {"history": [{"source": "payments", "field": "meter", "rows": rows, "ids": list(ids)}]}


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (_edited(1, 7), "payment 7 (meter)"),
        (_edited(2, 7, 9), "2 payments (meter): 7, 9"),
        (_edited(3, 7, 9), "3 payments (meter): 7, 9, ..."),
        (_edited(0), "{"),
    ],
)
def test_history_rows_are_named(evidence: dict[str, Any], words: str) -> None:
    assert describe_evidence(evidence).startswith(words)


def _summed(amount: str, *meters: int) -> dict[str, Any]:
    return {"meters": list(meters), "sum_of_meter_rows": amount}


def test_an_entity_is_in_one_block_where_its_largest_difference_is() -> None:
    """The rows come with the largest difference first, whatever they belong to."""
    rows: list[tuple[Any, ...]] = [
        ("meter", 3, "balance", "2668.10", "3168.10", Decimal("500.00"), "history-changed", _edited(1, 7), "..."),
        ("customer", 3, "balance", None, "3168.10", Decimal("500.00"), "meter-drift", {"meters": [3]}, "..."),
        ("customer", 3, "total_paid", "7.00", "8.00", Decimal("1.00"), "meter-drift", _summed("7.00", 3), "..."),
        ("customer", 4, "total_paid", "7.00", "8.00", Decimal("1.00"), "customer-sum-off", _summed("8.00"), "..."),
        ("customer", 4, "balance", "7.00", "8.00", Decimal("1.00"), "customer-sum-off", _summed("9.00"), "..."),
        ("meter", 3, "marks", "1", "0", Decimal(-1), "history-changed", _edited(1, 7), "..."),
        ("meter", 3, "customer_id", "1000", "2000", None, "assignment-edited", {"assignments": [5]}, "..."),
        ("invoice", 1000, "invoice_id", None, "1000", Decimal("-2000.00"), "history-missing", {"meters": [1]}, "..."),
    ]
    assert list(blocks(rows, UTC)) == [
        (
            "Drift of meter 3: history-changed; payment 7 (meter)",
            [("balance", "2,668.10", "3,168.10", "+500.00"), ("marks", "1", "0", "-1")],
        ),
        ("Drift of meter 3: assignment-edited; assignment 5", [("customer_id", "1000", "2000", None)]),
        (
            "Drift of customer 3: meter-drift; meter 3",
            [("balance", None, "3,168.10", "+500.00"), ("total_paid", "7.00", "8.00", "+1.00")],
        ),
        ("Drift of customer 4: customer-sum-off", [("total_paid", "7.00", "8.00", "+1.00")]),
        (
            "Drift of customer 4: customer-sum-off; the sum of its meter rows is 9.00",
            [("balance", "7.00", "8.00", "+1.00")],
        ),
        ("Drift of invoice 1000: history-missing; meter 1", [("amount", None, "2,000.00", "-2,000.00")]),
    ]


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("2026-01-31 21:30:00+00", "2026-02-01 00:30:00 EAT"),
        ("2026-01-31T21:30:00.25+00:00", "2026-02-01 00:30:00.250000 EAT"),
        ("infinity", "infinity"),
        (None, None),
    ],
)
def test_times_are_those_of_the_deployments_zone(stored: str | None, shown: str | None) -> None:
    row: tuple[Any, ...] = (
        "meter",
        3,
        "last_payment_at",
        stored,
        "9999-12-31 23:00:00+00",
        None,
        "projection-edited",
        {},
    )
    [(_, figures)] = blocks([row], ZoneInfo("Africa/Nairobi"))
    assert figures == [("last_payment_at", shown, "9999-12-31 23:00:00+00", None)]
