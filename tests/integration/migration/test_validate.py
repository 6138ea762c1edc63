"""Each check finds what it is named for, with ids and the command that mends it, and nothing else."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.migration.checks import CHECKS, NAMES
from backfill.migration.connection import Database
from backfill.migration.validate import Validation, choose, print_validation, validate
from events.runtime.console import Format
from events.runtime.errors import InputError
from events.runtime.settings import Settings
from tests.conftest import RunCommand
from tests.support.examples import CloudEvent, assigned, customer, invoice, payment
from tests.support.merge_harness import MergeHarness

SOUND: Final[list[CloudEvent]] = [
    customer(7, "Ada"), customer(8, "Ben"), assigned(1, 1, 7), assigned(2, 2, 8), assigned(3, 3, 8),
    invoice(1, 1, "100.00"), invoice(2, 2, "50.00"), invoice(3, 1, "-5.00"), invoice(4, 2, "5.00", "voided"),
    payment(1, "30.00", meter_id=1), payment(2, "80.00", invoice_id=2), payment(3, "5.00", "reversed", invoice_id=4),
    payment(4, "3.00", "reversed"),
]  # fmt: skip

LATER: Final = "2026-05-01T00:00:00Z"
BY_EVENTS: Final[dict[str, tuple[list[CloudEvent], list[int]]]] = {
    "payments": ([payment(20, "1.00"), payment(21, "1.00", invoice_id=404)], [20, 21]),
    "invoices": ([invoice(20, None, "1.00")], [20]),
    "orphan-meters": ([invoice(20, 9, "1.00"), payment(20, "1.00", meter_id=10)], [9, 10]),
    "active-assignments": ([assigned(20, 1, 8, assigned_at=LATER)], [1]),
    "unknown-customers": ([assigned(20, 4, 404)], [20]),
    "invoice-numbers": (
        [
            invoice(number, 1, "1.00", invoice_number=f"INV-{'9' if number < 23 else number}")
            for number in range(20, 26)
        ],
        [20, 21, 22],
    ),
    "voided-invoices": ([payment(20, "1.00", invoice_id=4)], [20]),
}
BY_HAND: Final[dict[str, tuple[str, list[int]]]] = {
    "meter-balances": ("UPDATE meter_balances SET total_billed = total_billed + 1 WHERE meter_id = 2", [2]),
    "customer-balances": ("UPDATE customer_balances SET balance = balance + 1 WHERE customer_id = 8", [8]),
    "totals": ("UPDATE customer_balances SET balance = balance + 1.01 WHERE customer_id = 8", []),
    "meter-figures": ("UPDATE meter_balances SET payment_count = -1 WHERE meter_id = 1", [1]),
    "customer-figures": ("UPDATE customer_balances SET overpayment = -1 WHERE customer_id = 7", [7]),
    "payment-figures": ("UPDATE payments SET amount = 0 WHERE payment_id = 1", [1]),
    "invoice-currency": ("UPDATE invoices SET currency = 'USD' WHERE invoice_id = 1", [1]),
    "payment-currency": ("UPDATE payments SET currency = 'USD' WHERE payment_id = 1", [1]),
}


@pytest.fixture
def filled(harness: MergeHarness) -> MergeHarness:
    harness.apply(SOUND)
    return harness


@pytest.fixture
def check(settings: Settings, engine: Engine, auditor: Connection[Any]) -> Callable[..., Validation]:
    return lambda *names: validate(Database(settings, engine, auditor), choose(names))


@pytest.mark.usefixtures("filled")
def test_a_sound_database_passes_every_check(check: Callable[..., Validation]) -> None:
    found = check()
    assert [(each.check.name, each.rows, each.ids) for each in found.checked] == [(name, 0, []) for name in NAMES]
    assert found.exit_code == 0


@pytest.mark.usefixtures("filled")
def test_the_drift_check_that_it_needs_is_listed_as_its_part(
    check: Callable[..., Validation], environment: dict[str, str], run_command: RunCommand
) -> None:
    check("payments")
    listed = run_command("backfill", "runs", "--format", "json", env=environment)
    assert json.loads(listed.stdout) == [], "nothing was compared with history"
    check("totals")
    [run] = json.loads(run_command("backfill", "runs", "--format", "json", env=environment).stdout)
    assert (run["command"], run["part_of"]) == ("drift-check", "validate")
    assert "drift-check (part of validate)" in run_command("backfill", "runs", env=environment).stdout


def test_an_empty_database_passes_every_check(check: Callable[..., Validation]) -> None:
    assert check().exit_code == 0


@pytest.mark.parametrize("name", BY_EVENTS)
def test_what_events_brought_is_found(filled: MergeHarness, check: Callable[..., Validation], name: str) -> None:
    events, ids = BY_EVENTS[name]
    filled.apply(events)
    _found(check(), name, ids)


@pytest.mark.parametrize("name", BY_HAND)
def test_what_a_hand_changed_is_found(filled: MergeHarness, check: Callable[..., Validation], name: str) -> None:
    statement, ids = BY_HAND[name]
    with filled.connection.transaction():
        filled.connection.execute(statement.encode())
    _found(check(name), name, ids)
    assert name in {each.check.name for each in check().checked if each.rows}


def test_every_check_is_shown_to_find_something() -> None:
    assert {*BY_EVENTS, *BY_HAND} == set(NAMES)


def test_totals_are_let_off_by_one(filled: MergeHarness, check: Callable[..., Validation]) -> None:
    with filled.connection.transaction():
        filled.connection.execute("UPDATE customer_balances SET balance = balance + 1 WHERE customer_id = 8")
    assert check("totals").exit_code == 0
    with filled.connection.transaction():
        filled.connection.execute("UPDATE customer_balances SET balance = balance + 1 WHERE customer_id = 8")
    (found,) = check("totals").checked
    assert (found.rows, found.note) == (1, "balance by -2.00")


def test_ids_are_capped_and_the_rest_counted(
    filled: MergeHarness, check: Callable[..., Validation], capsys: pytest.CaptureFixture[str]
) -> None:
    filled.apply([payment(number, "1.00") for number in range(100, 150)])
    found = check("payments")
    assert (found.checked[0].rows, found.checked[0].ids) == (50, list(range(100, 120)))
    print_validation(found, Format.TABLE)
    printed = " ".join(capsys.readouterr().out.split())
    assert "backfill payment-meter-ids" in printed
    assert "Result: 1 check, 1 with errors." in printed
    print_validation(found, Format.JSON)
    document = json.loads(capsys.readouterr().out)
    assert (document["errors"], document["checks"][0]["count"], document["checks"][0]["severity"]) == (1, 50, "error")


def test_a_number_may_stand_on_a_voided_invoice_and_be_missing(
    filled: MergeHarness, check: Callable[..., Validation]
) -> None:
    given = [
        ("issued", "INV-9"),
        ("voided", "INV-9"),
        ("issued", ""),
        ("issued", " "),
        ("issued", ""),
        ("issued", None),
    ]
    filled.apply([invoice(n, 1, "1.00", verb, invoice_number=number) for n, (verb, number) in enumerate(given, 20)])
    assert [each.rows for each in check("invoice-numbers").checked] == [0]


def test_an_unknown_check_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match="--check nope: there is no such check; the checks are payments, invoices"):
        choose(["nope"])


def _found(validation: Validation, name: str, ids: list[int]) -> None:
    """Hold a validation to have found these alone under this name, and to exit by its severity."""
    (found,) = [each for each in validation.checked if each.rows]
    assert (found.check.name, found.ids, found.rows) == (name, ids, max(len(ids), 1))
    assert found.check.fix
    severity = next(check.severity for check in CHECKS if check.name == name)
    assert validation.exit_code == (1 if severity == "error" else 0)
