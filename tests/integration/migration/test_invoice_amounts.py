"""Invoice amounts follow their lines, and balances follow the amounts in the same transaction."""

from decimal import Decimal
from typing import Any

import pytest
from psycopg import Connection
from sqlalchemy import Engine, text

from backfill.migration.invoice_amounts import STEP
from tests.integration.migration.beside import StepLane, play_everywhere
from tests.integration.migration.conftest import Contents, Do, Drift
from tests.support.examples import CloudEvent, assigned, invoice, payment
from tests.support.merge_harness import MergeHarness


def _line(kind: str, amount: str) -> dict[str, str]:
    return {"type": kind, "amount": amount}


CARRIED = [_line("WATER", "40.00"), _line("BALANCE", "60.00"), _line("LEVY", "2.50")]
EVENTS: list[CloudEvent] = [
    assigned(1, 11, 1), assigned(2, 12, 1),
    invoice(1, 11, "102.50", lines=CARRIED),
    invoice(2, 11, "42.50", lines=CARRIED, balance_brought_forward="60.00"),
    invoice(3, 12, "70.00"),
    invoice(4, 12, "70.00", lines=[]),
    invoice(5, 12, "10.00", lines=[_line("BALANCE", "10.00")]),
    invoice(6, 12, "9.00", "voided", lines=[_line("WATER", "7.00"), _line("BALANCE", "2.00")]),
    invoice(7, None, "9.00", lines=[_line("WATER", "7.00"), _line("BALANCE", "2.00")]),
    invoice(8, 12, "-5.00", lines=[_line("CREDIT", "-5.00")]),
    payment(1, "50.00", meter_id=11), payment(2, "1.00", meter_id=12),
]  # fmt: skip


@pytest.fixture
def filled(harness: MergeHarness) -> MergeHarness:
    harness.apply(EVENTS)
    return harness


@pytest.mark.usefixtures("filled")
def test_amounts_and_balances_follow_the_lines(engine: Engine, do: Do, drift: Drift) -> None:
    did = do(STEP)
    assert did.counts == {"amended": 4, "right": 2, "without-lines": 2}
    assert [row["invoice_id"] for row in did.listed] == [3, 4]
    assert _figures(engine) == {
        1: ("42.50", "60.00"), 2: ("42.50", "60.00"), 3: ("70.00", None), 4: ("70.00", None), 5: ("0.00", "10.00"),
        6: ("7.00", "2.00"), 7: ("7.00", "2.00"), 8: ("-5.00", None),
    }  # fmt: skip
    with engine.connect() as connection:
        billed = "SELECT total_billed FROM meter_balances ORDER BY meter_id"
        assert list(connection.execute(text(billed)).scalars()) == [Decimal(85), Decimal(135)]
        assert connection.execute(text("SELECT balance FROM customer_balances")).scalar() == Decimal(169)
    assert not drift()


@pytest.mark.usefixtures("filled")
def test_a_dry_run_changes_nothing_and_says_the_same(do: Do, contents: Contents) -> None:
    before = contents()
    dry = do(STEP, dry=True)
    assert contents() == before
    wet = do(STEP)
    assert (dry.counts, dry.listed) == (wet.counts, wet.listed)


@pytest.mark.usefixtures("filled")
def test_the_second_run_changes_nothing(do: Do, contents: Contents) -> None:
    do(STEP)
    after = contents()
    assert do(STEP).performed.changed == 0
    assert contents() == after


@pytest.mark.parametrize(
    "lines",
    [
        '"WATER"', '{"type": "WATER"}', '[{"type": "WATER"}]', '[{"amount": "1.00"}]', '[7]', '[null]',
        '[{"type": "WATER", "amount": "much"}]', '[{"type": "WATER", "amount": "1e3"}]',
        '[{"type": ["WATER"], "amount": "1.00"}]',
        '[{"type": "WATER", "amount": "1.00"}, {"type": "WATER", "amount": null}]',
    ],
)  # fmt: skip
def test_lines_that_cannot_be_read_are_told_and_left(
    filled: MergeHarness, engine: Engine, do: Do, contents: Contents, lines: str
) -> None:
    do(STEP)
    with filled.connection.transaction():
        filled.connection.execute("UPDATE invoices SET lines = %s::jsonb WHERE invoice_id = 3", [lines])
    before = contents()
    assert do(STEP).counts["unreadable-lines"] == 1
    assert contents() == before
    assert _figures(engine)[3] == ("70.00", None)


def test_lines_of_a_legacy_import_may_hold_numbers(filled: MergeHarness, engine: Engine, do: Do, drift: Drift) -> None:
    legacy = '[{"type": "WATER", "amount": 12.5}, {"type": "BALANCE", "amount": 57.50}]'
    with filled.connection.transaction():
        filled.connection.execute("UPDATE invoices SET lines = %s::jsonb WHERE invoice_id = 3", [legacy])
    do(STEP)
    assert _figures(engine)[3] == ("12.50", "57.50")
    assert not drift()


def test_an_amount_too_large_is_told_and_the_others_go_on(filled: MergeHarness, do: Do, drift: Drift) -> None:
    huge = '[{"type": "WATER", "amount": "9999999999999999"}, {"type": "LEVY", "amount": "9999999999999999"}]'
    with filled.connection.transaction():
        filled.connection.execute("UPDATE invoices SET lines = %s::jsonb WHERE invoice_id = 4", [huge])
    did = do(STEP)
    (failure,) = did.performed.run.tally.failures
    assert (failure.first, failure.last) == (4, 4)
    assert did.performed.changed == 4
    assert not drift()


BATCH = [
    invoice(1, 12, "102.50", "amended", lines=CARRIED, version=2),
    invoice(5, 12, "10.00", "voided", lines=[_line("BALANCE", "10.00")], version=2),
    invoice(9, 11, "33.00", lines=[_line("WATER", "30.00"), _line("BALANCE", "3.00")]),
    payment(3, "5.00", invoice_id=1),
    assigned(2, 12, 2, version=2),
]


def test_beside_a_consumer_both_end_exact_wherever_the_first_is_held(
    harness: MergeHarness, engine: Engine, auditor: Connection[Any], drift: Drift
) -> None:
    play_everywhere(engine, harness, StepLane(auditor, STEP), (EVENTS, BATCH), drift)


def _figures(engine: Engine) -> dict[int, tuple[str, str | None]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT invoice_id, amount::text, balance_brought_forward::text FROM invoices"))
        return {row[0]: (row[1], row[2]) for row in rows}
