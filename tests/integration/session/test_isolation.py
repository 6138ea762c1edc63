"""What another default isolation would do to the merge, and that it cannot."""

from collections.abc import Iterator
from typing import Final

import psycopg
import pytest
from sqlalchemy import Engine

from events.runtime.settings import Settings
from tests.support.examples import assigned, invoice, payment
from tests.support.interleaving import NEVER, STATEMENTS_MAX, play
from tests.support.merge_harness import MergeHarness, disagreement, empty

FOLLOWER: Final = [payment(1, "4.00", invoice_id=1)]
INVOICE: Final = [invoice(1, 1, "10.00"), assigned(1, 1, 7)]
SNAPSHOTS: Final = ("repeatable read", "serializable")


@pytest.fixture
def harnesses(hostile_engine: Engine, settings: Settings) -> Iterator[tuple[MergeHarness, MergeHarness]]:
    pair = MergeHarness(hostile_engine, settings, 0), MergeHarness(hostile_engine, settings, 1)
    yield pair
    for harness in pair:
        harness.close()


@pytest.mark.parametrize("isolation", SNAPSHOTS)
def test_under_one_snapshot_a_payment_is_left_uncounted_or_its_batch_refused(
    engine: Engine, harnesses: tuple[MergeHarness, MergeHarness], isolation: str
) -> None:
    """The invoice's batch began before the payment's was committed, and so never sees whom it was locked for."""
    for harness in harnesses:  # unpinned by hand: nothing else gets there
        harness.connection.isolation_level = None
        harness.connection.execute(f"SET default_transaction_isolation = '{isolation}'".encode())
    ends = {_raced(engine, harnesses, point)[1] for point in range(1, STATEMENTS_MAX)}
    uncounted = "meter_balances 1: balance expected" in "".join(ends) or "total_paid expected 4.00" in "".join(ends)
    assert uncounted or (isolation == "serializable" and "refused" in ends), ends


def test_as_connections_are_made_the_payment_counts_wherever_the_first_is_held(
    engine: Engine, harnesses: tuple[MergeHarness, MergeHarness]
) -> None:
    for point in range(1, STATEMENTS_MAX + 1):
        met, wrong = _raced(engine, harnesses, point)
        assert not wrong, f"{met} after statement {point}: {wrong}"
        if met == "done":
            break


def _raced(engine: Engine, harnesses: tuple[MergeHarness, MergeHarness], point: int) -> tuple[str, str]:
    """Hold the payment's batch at a point while the invoice's comes; return where it was, and what is wrong then."""
    empty(engine)
    for harness in harnesses:
        harness.begin()
    try:
        met, _ = play(engine, (harnesses[0], FOLLOWER, point), (harnesses[1], INVOICE, NEVER))
    except psycopg.errors.SerializationFailure:
        return "held", "refused"
    return met, disagreement(engine, FOLLOWER + INVOICE)
