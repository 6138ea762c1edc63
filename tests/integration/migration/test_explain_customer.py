"""A customer's sums beside the recorded rows of the customer's meters."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from psycopg import Connection

from backfill.explain.customer import print_customer, read
from events.runtime.console import Format
from events.runtime.errors import InputError
from events.runtime.settings import Settings
from tests.conftest import RunCommand
from tests.support.examples import assigned, customer, invoice, payment
from tests.support.merge_harness import MergeHarness, day

Said = Callable[..., str]

EVENTS = [
    customer(11, "Amina [bold] Bakery Ltd"), customer(13, "Without meters"),
    assigned(1, 5, 11), assigned(2, 6, 11), assigned(3, 7, 12), assigned(4, 8, 11, "unassigned", unassigned_at=day(-1)),
    assigned(5, 9, 11, assigned_at=day(1)),
    invoice(1, 5, "1500.50"), payment(1, "123.00", meter_id=5, paid_at="2026-02-01T21:30:00Z"),
    invoice(2, 8, "9.00"), invoice(3, 9, "8.00"),
]  # fmt: skip
CAUSE = "`backfill drift-check` names the cause."


@pytest.fixture
def said(
    harness: MergeHarness,
    settings: Settings,
    auditor: Connection[Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Said:
    """Print a customer, 80 columns wide."""
    harness.apply(EVENTS)
    monkeypatch.setenv("COLUMNS", "80")

    def say(customer_id: int, form: Format = Format.TABLE) -> str:
        print_customer(settings, read(settings, auditor, customer_id), form)
        return capsys.readouterr().out

    return say


def _change(harness: MergeHarness, statement: str) -> None:
    with harness.connection.transaction():
        harness.connection.execute(statement)


def test_a_customer_is_a_sentence_and_a_table_of_the_meters_of_today(said: Said) -> None:
    first, *table, last = said(11).splitlines()
    assert first == "Customer 11, Amina [bold] Bakery Ltd: KES 1,377.50 owed and KES 0.00 overpaid over 2 meters."
    assert table[0] == "Meters"
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in table if line.startswith("│")]
    assert cells == [
        ["5", "KES 1,377.50", "KES 0.00", "KES 1,500.50", "KES 123.00"],
        ["6", *["KES 0.00"] * 4],
    ]
    assert max(map(len, table)) <= 80
    assert last == "`backfill explain --meter METER` shows the lines behind a balance."


def test_ordinary_amounts_of_many_figures_fit_80_columns(said: Said, harness: MergeHarness) -> None:
    harness.apply([invoice(4, 5, "654321.00"), payment(4, "987654.00", meter_id=6)])
    assert "┃ Meter ┃" in said(11), "a table, and not records"


def test_a_customer_without_meters_or_without_a_name_is_told_as_such(said: Said) -> None:
    assert said(13) == "Customer 13, Without meters: KES 0.00 owed and KES 0.00 overpaid over 0 meters.\nMeters: none\n"
    assert said(12).startswith("Customer 12: KES 0.00 owed and KES 0.00 overpaid over 1 meter.\n")


def test_a_row_that_is_not_the_sum_of_its_meters_is_told(said: Said, harness: MergeHarness) -> None:
    _change(harness, "UPDATE customer_balances SET balance = balance + 1000, active_meters = 3 WHERE customer_id = 11")
    first = said(11).splitlines()[0]
    recorded = "KES 2,377.50 owed and KES 0.00 overpaid over 3 meters as recorded"
    summed = "its meters' rows add up to KES 1,377.50 owed, 2 meters"
    assert first == f"Customer 11, Amina [bold] Bakery Ltd: {recorded}, but {summed}. {CAUSE}"
    _change(harness, "DELETE FROM customer_balances WHERE customer_id = 11")
    assert f"KES 1,377.50 owed, KES 1,500.50 billed, KES 123.00 paid, 2 meters. {CAUSE}" in said(11)


def test_a_meter_that_is_recorded_for_another_customer_is_told_at_both(said: Said, harness: MergeHarness) -> None:
    _change(harness, "UPDATE meter_balances SET customer_id = 12 WHERE meter_id = 6")
    elsewhere = f"as recorded, but meter 6 is recorded for another customer or none. {CAUSE}\n"
    assert elsewhere in said(11)
    assert f"but meter 6 is recorded for this customer and not assigned to it. {CAUSE}\n" in said(12)
    documents = [json.loads(said(each, Format.JSON)) for each in (11, 12)]
    assert [[each["recorded_elsewhere"], each["not_assigned"]] for each in documents] == [[[6], []], [[], [6]]]
    _change(harness, "UPDATE meter_balances SET customer_id = 77 WHERE meter_id IN (5, 6)")
    assert "meters 5, 6 are recorded for this customer and not assigned to it" in said(77)
    assert "meters 5, 6 are recorded for another customer or none" in said(11)


def test_of_two_assignments_in_effect_the_latest_wins(said: Said, harness: MergeHarness) -> None:
    harness.apply([assigned(6, 6, 12, assigned_at="2026-01-02T00:00:00Z")])
    documents = [json.loads(said(customer_id, Format.JSON)) for customer_id in (11, 12)]
    assert [[each["meter_id"] for each in document["meters"]] for document in documents] == [[5], [6, 7]]


def test_the_document_has_the_sums_and_the_last_days_too(said: Said) -> None:
    document = json.loads(said(11, Format.JSON))
    figures = {"balance": "1377.50", "overpayment": "0.00", "total_billed": "1500.50", "total_paid": "123.00"}
    assert document["recorded"] == document["sum_of_meters"] == {**figures, "active_meters": 2}
    assert (document["customer_id"], document["customer_name"]) == (11, "Amina [bold] Bakery Ltd")
    assert document["meters"][0] == {
        "meter_id": 5, **figures, "last_invoice_date": "2026-01-31", "last_payment_date": "2026-02-02",
    }  # fmt: skip


def test_an_unknown_customer_is_one_line(settings: Settings, auditor: Connection[Any]) -> None:
    with pytest.raises(InputError, match="--customer 99: no customer, assignment or balance names this customer"):
        read(settings, auditor, 99)


def test_a_meter_or_a_customer_is_asked_for_and_days_go_with_a_meter(
    run_command: RunCommand, environment: dict[str, str]
) -> None:
    for arguments, words in {
        (): "explain needs either --meter or --customer",
        ("--meter", "5", "--customer", "11"): "explain needs either --meter or --customer",
        ("--customer", "11", "--at", "2026-01-01"): "--since and --at go with --meter",
        ("--customer", "11", "--since", "2026-01-01"): "--since and --at go with --meter",
        ("--customer", "99"): "--customer 99: no customer",
    }.items():
        result = run_command("backfill", "explain", *arguments, env=environment)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result
        assert words in result.stderr
