"""A batch counts once: its position moves in its own transaction, from the value its consumer last knew."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Engine, text

from events.runtime.settings import Settings
from projector.errors import PositionMovedError
from tests.support.examples import CloudEvent, assigned, invoice, payment
from tests.support.interleaving import STATEMENTS_MAX, Held
from tests.support.merge_harness import MergeHarness, disagreement

EVENTS = [assigned(1, 1, 7), invoice(1, 1, "10.00"), payment(1, "4.00", invoice_id=1)]
POISON: CloudEvent = {**invoice(2, 1, "1.00"), "specversion": "0.3"}


@pytest.fixture
def rivals(engine: Engine, settings: Settings) -> Iterator[tuple[MergeHarness, MergeHarness]]:
    """Two consumers that both believe the same partitions to be theirs."""
    pair = MergeHarness(engine, settings), MergeHarness(engine, settings, begin=False)
    yield pair
    for harness in pair:
        harness.close()


@pytest.mark.parametrize("point", range(1, STATEMENTS_MAX + 1))
def test_of_two_owners_the_second_finds_the_position_moved_and_leaves_nothing(
    engine: Engine, rivals: tuple[MergeHarness, MergeHarness], point: int
) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = Held(pool, rivals[0], EVENTS, point)
        first.rests(engine)
        second = Held(pool, rivals[1], [*EVENTS, invoice(3, 1, "99.00"), POISON], STATEMENTS_MAX + 1)
        second.rests(engine)
        first.let_go().result()
        with pytest.raises(PositionMovedError, match="another consumer owns it"):
            second.let_go().result()
    assert not disagreement(engine, EVENTS)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM dead_letters")).scalar() == 0
        assert connection.execute(text("SELECT sum(next_offset) FROM positions")).scalar() == len(EVENTS)


def test_where_the_first_owner_fails_the_second_applies(
    engine: Engine, rivals: tuple[MergeHarness, MergeHarness]
) -> None:
    too_much = [invoice(n, 1, "9999999999999999.99") for n in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        first = Held(pool, rivals[0], too_much, hold_after=1)
        first.rests(engine)
        second = Held(pool, rivals[1], EVENTS, hold_after=STATEMENTS_MAX + 1)
        assert second.rests(engine) == "waiting"
        with pytest.raises(psycopg.DataError):
            first.let_go().result()
        assert second.let_go().result().applied == len(EVENTS)
    assert not disagreement(engine, EVENTS)


def test_a_position_that_nobody_wrote_is_not_moved(engine: Engine, rivals: tuple[MergeHarness, MergeHarness]) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM positions"))
    with pytest.raises(PositionMovedError):
        rivals[0].apply(EVENTS)
    assert not disagreement(engine, [])
