"""Payments without a meter are allocated as documented, balances follow in the same transaction, events still win."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from psycopg import Connection
from sqlalchemy import Engine, text

from backfill.migration.payment_meter_ids import STEP
from backfill.migration.step import Options, walk
from tests.integration.migration.beside import StepLane, play_everywhere
from tests.integration.migration.conftest import Contents, Do, Drift
from tests.support.examples import CloudEvent, assigned, invoice, payment
from tests.support.merge_harness import MergeHarness

LATER = "2026-03-01T00:00:00Z"

EVENTS: list[CloudEvent] = [
    assigned(1, 11, 1),                                            # customer 1 has one meter
    assigned(2, 21, 2, assigned_at="2026-02-01T00:00:00Z"),        # customer 2 has two, 22 the first
    assigned(3, 22, 2),
    assigned(4, 31, 3, "unassigned", unassigned_at=LATER),         # customer 3 had one
    assigned(5, 41, 4), assigned(6, 41, 5, assigned_at=LATER),     # meter 41 is customer 5's, though 4 is not ended
    invoice(1, 11, "100.00"), invoice(2, 21, "100.00"), invoice(3, None, "50.00", customer_id=1),
    payment(1, "1.00", customer_id=1),
    payment(2, "2.00", customer_id=2),
    payment(3, "4.00", customer_id=3),
    payment(4, "8.00", customer_id=4),
    payment(5, "16.00", customer_id=5),
    payment(6, "32.00", customer_id=99),
    payment(7, "64.00"),
    payment(8, "128.00", invoice_id=2, customer_id=1),             # takes its invoice's meter
    payment(9, "256.00", invoice_id=3),                            # its invoice has no meter, but a customer
    payment(10, "512.00", customer_id=1, verb="reversed"),
    payment(11, "1024.00", meter_id=22, customer_id=1),            # has its own
    payment(12, "2048.00", customer_id=1, invoice_id=77),          # its invoice has not arrived
]  # fmt: skip
ALLOCATED = {1: 11, 2: 22, 3: 31, 4: 41, 5: 41, 9: 11, 12: 11}


@pytest.fixture
def filled(harness: MergeHarness) -> MergeHarness:
    harness.apply(EVENTS)
    return harness


@pytest.mark.usefixtures("filled")
def test_each_payment_goes_where_the_rules_say(engine: Engine, do: Do, drift: Drift) -> None:
    did = do(STEP)
    assert did.counts == {"invoice": 1, "only-meter": 4, "first-meter": 3, "no-meter": 1, "no-customer": 1}
    assert _column(engine, "allocated_meter_id") == ALLOCATED
    assert _column(engine, "projected_meter_id") == ALLOCATED | {8: 21, 11: 22}
    assert 10 not in _column(engine, "allocated_meter_id"), "a reversed payment counts nowhere"
    assert {(row["payment_id"], row["outcome"]) for row in did.listed} == {
        (2, "first-meter"), (3, "first-meter"), (4, "first-meter"), (6, "no-meter"), (7, "no-customer"),
    }  # fmt: skip
    assert not drift()


def test_a_meter_that_is_the_customers_only_from_a_later_day_on_gets_no_payment(
    harness: MergeHarness, engine: Engine, do: Do
) -> None:
    """Until then it is another customer's, whose debt the payment would lower."""
    ahead = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    harness.apply(
        [
            assigned(1, 900, 11, "unassigned", unassigned_at=ahead),
            assigned(2, 900, 12, assigned_at=ahead),
            payment(1, "250.00", customer_id=12),
            payment(2, "100.00", customer_id=11),
        ]
    )
    assert do(STEP).counts == {"no-meter": 1, "only-meter": 1}
    assert _column(engine, "allocated_meter_id") == {2: 900}


@pytest.mark.usefixtures("filled")
def test_the_balances_move_with_the_marks(engine: Engine, do: Do) -> None:
    do(STEP)
    with engine.connect() as connection:
        meters = {row[0]: row[1] for row in connection.execute(text("SELECT meter_id, total_paid FROM meter_balances"))}
        customer = connection.execute(text("SELECT total_paid FROM customer_balances WHERE customer_id = 1")).scalar()
    assert meters[11] == 1 + 256 + 2048 == customer
    assert meters[41] == 8 + 16


@pytest.mark.usefixtures("filled")
def test_a_dry_run_changes_nothing_and_says_the_same(do: Do, contents: Contents) -> None:
    before = contents()
    dry = do(STEP, dry=True)
    assert contents() == before
    wet = do(STEP)
    assert (dry.counts, dry.listed) == (wet.counts, wet.listed)
    assert contents() != before


@pytest.mark.usefixtures("filled")
def test_the_second_run_changes_nothing(do: Do, contents: Contents) -> None:
    do(STEP)
    after = contents()
    again = do(STEP)
    assert (again.performed.changed, again.counts["already"]) == (0, len(ALLOCATED))
    assert contents() == after


@pytest.mark.usefixtures("filled")
def test_killed_after_any_chunk_it_is_simply_run_again(
    auditor: Connection[Any], engine: Engine, do: Do, drift: Drift
) -> None:
    for chunks in (1, 2, 3):
        shares = list(islice(walk(auditor, STEP, Options(chunk_size=2), lambda: False), chunks))
        assert len(shares) == chunks
        assert not drift()
    assert do(STEP).performed.changed == len([key for key in ALLOCATED if key > 6])
    assert _column(engine, "allocated_meter_id") == ALLOCATED
    assert not drift()


def test_an_allocation_outlives_versions_without_a_meter_and_gives_way_to_one(
    filled: MergeHarness, engine: Engine, do: Do, drift: Drift
) -> None:
    do(STEP)
    filled.apply([payment(1, "5.00", "amended", customer_id=1, version=2)])
    assert _column(engine, "projected_meter_id")[1] == 11
    filled.apply([payment(1, "5.00", "amended", customer_id=1, meter_id=22, version=3)])
    assert _column(engine, "projected_meter_id")[1] == 22
    filled.apply([invoice(77, 21, "9.00")])
    assert _column(engine, "projected_meter_id")[12] == 21, "the invoice has arrived, and its meter prevails"
    do(STEP)
    assert not drift()


def test_history_without_marks_is_marked_with_it(engine: Engine, do: Do, drift: Drift) -> None:
    """Rows imported past the stream: the meters that the step touches are whole afterwards."""
    with engine.begin() as connection:
        connection.execute(text(IMPORTED))
    do(STEP)
    assert not drift()


IMPORTED = """
INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at) VALUES (1, 1, 1, '2026-01-01');
INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date) VALUES (1, 1, 100, 'KES', '2026-01-31');
INSERT INTO payments (payment_id, meter_id, customer_id, amount, currency, paid_at) VALUES
    (1, NULL, 1, 30, 'KES', '2026-02-01'), (2, 1, NULL, 20, 'KES', '2026-02-02');
"""


BATCH = [
    invoice(77, 21, "9.00"),
    payment(1, "5.00", "amended", customer_id=1, meter_id=22, version=2),
    payment(4, "8.00", "reversed", customer_id=4, version=2),
    payment(2, "7.00", "amended", customer_id=2, version=2),
    payment(13, "3.00", customer_id=1),
    assigned(7, 11, 5, assigned_at=LATER),
    invoice(9, 11, "40.00"),
]


def test_beside_a_consumer_both_end_exact_wherever_the_first_is_held(
    harness: MergeHarness, engine: Engine, auditor: Connection[Any], drift: Drift
) -> None:
    """The batch brings an awaited invoice, a meter of a payment's own, a reversal, a change of hands, new rows."""
    play_everywhere(engine, harness, StepLane(auditor, STEP), (EVENTS, BATCH), drift)


def test_a_payment_that_fits_nowhere_is_told_and_the_others_go_on(
    filled: MergeHarness, engine: Engine, do: Do, drift: Drift
) -> None:
    filled.apply([payment(50, "9999999999999999.00", meter_id=31)])
    did = do(STEP)
    (failure,) = did.performed.run.tally.failures
    assert (failure.first, failure.last) == (3, 3), "alone"
    assert "22003" in failure.reason
    assert _column(engine, "allocated_meter_id") == {key: meter for key, meter in ALLOCATED.items() if key != 3}
    assert not drift()


def _column(engine: Engine, name: str) -> dict[int, Any]:
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT payment_id, {name} FROM payments WHERE {name} IS NOT NULL"))
        return {row[0]: row[1] for row in rows}
