"""What is wrong with a suspected row, beside what wins of the log."""

from decimal import Decimal
from typing import Final

import pytest

from backfill.audit.findings import Finding
from backfill.verify_log.verdict import Coverage, Suspect, Text, findings

WINNER: Final[Text] = {
    "version": "2", "event_id": "b", "source_partition": "1", "source_offset": "10", "meter_id": "42",
    "customer_id": None, "amount": "100.00", "balance_brought_forward": None, "currency": "KES",
    "invoice_date": "2026-01-31", "due_date": None, "invoice_number": None, "lines": None, "voided": "false",
    "charges": None, "brought_forward": None,
}  # fmt: skip
CHARGED: Final[Text] = {**WINNER, "charges": "70.00", "brought_forward": "30.00"}


def _found(
    row: Text | None, winner: Text | None = WINNER, *, coverage: Coverage = "covered", noted: bool = True
) -> dict[str, str]:
    suspect = Suspect("invoices", 1, winner, row, noted)
    return {each.column: each.cause for each in findings(suspect, "billing.invoices", lambda _: coverage)}


@pytest.mark.parametrize(
    "row",
    [
        WINNER,
        {**WINNER, "source_partition": "0", "source_offset": "90"},  # another log's place, and it says the same
        {**WINNER, "source_partition": None, "source_offset": None},  # loaded, and it says the same
    ],
)
def test_what_says_the_same_is_right(row: Text) -> None:
    assert _found(row) == {}


@pytest.mark.parametrize(
    ("coverage", "noted"), [("newer", True), ("expired", True), ("loaded", True), ("covered", False)]
)
def test_what_the_log_cannot_deny_is_not_denied(coverage: Coverage, noted: bool) -> None:  # noqa: FBT001 - a case
    """It is newer, from before the log's beginning, from no log, or was replaced since it was suspected."""
    assert _found({**WINNER, "version": "3", "amount": "1.00"}, coverage=coverage, noted=noted) == {}
    assert _found(WINNER, None, coverage=coverage, noted=noted) == {}


@pytest.mark.parametrize("coverage", ["covered", "nowhere"])
def test_what_the_log_denies_is_found(coverage: Coverage) -> None:
    edited = dict.fromkeys(("version", "amount"), "history-edited")
    assert _found({**WINNER, "version": "3", "amount": "1.00"}, coverage=coverage) == edited
    assert _found(WINNER, None, coverage=coverage) == {"invoice_id": "history-unknown"}


@pytest.mark.parametrize("coverage", ["covered", "newer", "expired", "loaded", "nowhere"])
def test_what_is_less_than_its_message_is_found_wherever_it_says_that_it_comes_from(coverage: Coverage) -> None:
    assert _found({**WINNER, "version": "1"}, coverage=coverage, noted=False) == {"version": "history-edited"}
    assert _found({**WINNER, "event_id": "B"}, coverage=coverage, noted=False) == {"event_id": "history-edited"}
    assert _found({**WINNER, "amount": "1.00"}, coverage=coverage, noted=False) == {"amount": "history-edited"}
    later = {**WINNER, "source_offset": "11"}
    assert _found(later, coverage=coverage, noted=False) == {"source_offset": "history-edited"}


def test_ids_are_compared_as_bytes() -> None:
    """U+FF61 has the greater code point, and so the greater bytes; UTF-16 would say otherwise of U+10000."""
    winner, row = {**WINNER, "event_id": "\U00010000"}, {**WINNER, "event_id": "\uff61"}
    assert _found(row, winner, coverage="newer") == {"event_id": "history-edited"}
    assert _found(winner, row, coverage="newer") == {}


def test_a_row_that_is_gone_is_missing_only_where_a_message_says_so() -> None:
    assert _found(None) == {"invoice_id": "history-missing"}
    assert _found(None, None) == {}


def test_what_a_step_makes_of_the_lines_is_no_edit_and_nothing_else_beside_it() -> None:
    amended = {**CHARGED, "amount": "70.00", "balance_brought_forward": "30.00"}
    assert _found(amended, CHARGED) == {}
    assert _found({**amended, "balance_brought_forward": "30.01"}, CHARGED).keys() == {
        "amount", "balance_brought_forward",
    }  # fmt: skip
    assert _found({**amended, "meter_id": "43"}, CHARGED).keys() >= {"meter_id"}
    assert _found(amended).keys() == {"amount", "balance_brought_forward"}
    assert _found({**amended, "version": "1"}, CHARGED).keys() == {"version", "amount", "balance_brought_forward"}


def test_no_debt_brought_forward_is_nought_of_it() -> None:
    """An invoice whose lines bring nothing forward may have a nought or nothing there, and no other amount."""
    charged = {**WINNER, "charges": "70.00", "brought_forward": "0.00"}
    assert _found({**charged, "amount": "70.00", "balance_brought_forward": None}, charged) == {}
    assert _found({**charged, "amount": "70.00", "balance_brought_forward": "0.00"}, charged) == {}
    assert _found({**charged, "amount": "71.00", "balance_brought_forward": None}, charged).keys() == {"amount"}


def test_a_finding_tells_what_stands_there_what_should_and_which_message_says_so() -> None:
    message = {"topic": "billing.invoices", "partition": 1, "offset": 10}
    edited = {**WINNER, "amount": "98.50", "balance_brought_forward": "5.00", "invoice_date": "2026-02-01"}

    def made(row: Text | None, winner: Text | None) -> list[Finding]:
        suspect = Suspect("invoices", 7, winner, row, noted=True)
        return findings(suspect, "billing.invoices", lambda asked: "covered" if asked is row else "newer")

    assert made(edited, WINNER) == [
        Finding("invoice", 7, column, recorded, expected, difference, "history-edited", {"message": message})
        for column, recorded, expected, difference in (
            ("amount", "98.50", "100.00", Decimal("1.50")),
            ("balance_brought_forward", "5.00", None, Decimal("-5.00")),
            ("invoice_date", "2026-02-01", "2026-01-31", None),
        )
    ]
    assert made(WINNER, {**WINNER, "balance_brought_forward": "5.00"}) == [
        Finding(
            "invoice", 7, "balance_brought_forward", None, "5.00", Decimal("5.00"), "history-edited",
            {"message": message},
        )
    ]  # fmt: skip
    assert made(None, WINNER) == [
        Finding("invoice", 7, "invoice_id", None, "7", Decimal("100.00"), "history-missing", {"message": message})
    ]
    says = {"says_it_is_from": message, "version": "2", "event_id": "b"}
    assert made(WINNER, None) == [
        Finding("invoice", 7, "invoice_id", "7", None, Decimal("-100.00"), "history-unknown", says)
    ]


def test_a_finding_without_money_or_place_tells_of_none() -> None:
    row: Text = {
        "version": "1", "event_id": "a", "source_partition": None, "source_offset": None, "name": "Achieng",
    }  # fmt: skip
    [found] = findings(Suspect("customers", 7, None, row, noted=True), "billing.customers", lambda _: "nowhere")
    nowhere = {"topic": "billing.customers", "partition": None, "offset": None}
    says = {"says_it_is_from": nowhere, "version": "1", "event_id": "a"}
    assert found == Finding("customer-record", 7, "customer_id", "7", None, None, "history-unknown", says)


def test_the_difference_is_what_history_lacks() -> None:
    def difference(row: Text | None, winner: Text | None) -> Decimal | None:
        [found] = findings(Suspect("invoices", 1, winner, row, True), "t", lambda _: "covered")  # noqa: FBT003 - noted
        return found.difference

    assert difference({**WINNER, "amount": "100.01"}, WINNER) == Decimal("-0.01")
    assert difference(None, WINNER) == Decimal("100.00")
    assert difference(WINNER, None) == Decimal("-100.00")
    assert str(difference({**WINNER, "amount": "NaN"}, WINNER)) == "NaN"
