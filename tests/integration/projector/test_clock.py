"""Dates ahead: an assignment is in effect from its begin to its end, as of a stored clock that only moves forward.

Tests move no time. They set the clock back, so that dates between it and now are ahead of it and then due.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from sqlalchemy import Engine, text

from events.runtime.errors import StateError
from projector.consume.clock import LOOK_SECONDS
from tests.support.examples import CloudEvent, assigned, invoice, payment
from tests.support.interleaving import NEVER, STATEMENTS_MAX, play
from tests.support.merge_harness import MergeHarness, day, disagreement, empty, set_clock

MONDAY: Final = -5.0
FRIDAY: Final = day(-1)
BILLED: Final = [assigned(1, 1, 7, assigned_at=day(-99)), invoice(1, 1, "10.00")]
MOVE: Final = [
    assigned(1, 1, 7, "unassigned", version=2, unassigned_at=FRIDAY, assigned_at=day(-99)),
    assigned(2, 1, 8, assigned_at=FRIDAY),
]


def first(verb: str = "assigned", **more: object) -> CloudEvent:
    """Write another version of the assignment that began long ago."""
    return assigned(1, 1, 7, verb, **{"assigned_at": day(-99), "version": 2, **more})


def second(verb: str = "assigned", **more: object) -> CloudEvent:
    """Write a state of the assignment that begins on Friday."""
    return assigned(2, 1, 8, verb, **{"assigned_at": FRIDAY, **more})


def owners(engine: Engine) -> dict[int, int | None]:
    """Read whose each meter is."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT meter_id, customer_id FROM meter_balances"))
        return {row.meter_id: row.customer_id for row in rows}


def clock_of(engine: Engine) -> datetime:
    """Read the clock."""
    with engine.connect() as connection:
        through: datetime = connection.execute(text("SELECT through FROM assignment_clock")).scalar_one()
        return through.astimezone(UTC)


def test_a_move_entered_on_monday_for_friday_takes_effect_on_friday(engine: Engine, harness: MergeHarness) -> None:
    set_clock(engine, MONDAY)
    harness.apply(BILLED)
    harness.apply(MOVE)
    assert owners(engine) == {1: 7}
    assert not disagreement(engine, BILLED + MOVE)
    harness.advance()
    assert owners(engine) == {1: 8}
    assert not disagreement(engine, BILLED + MOVE)


CHANGES: Final[dict[str, tuple[list[CloudEvent], int | None, int | None]]] = {
    "an end ahead": ([first("unassigned", unassigned_at=FRIDAY)], 7, None),
    "an end ahead in an event that says assigned": ([first(unassigned_at=FRIDAY)], 7, None),
    "an end without a date": ([first("unassigned")], None, None),
    "an end in the past": ([first(unassigned_at=day(-9))], None, None),
    "an end ahead of now": ([first(unassigned_at=day(9))], 7, 7),
    "an end that is taken back": ([first(unassigned_at=FRIDAY), first(version=3)], 7, 7),
    "a begin ahead": ([second()], 7, 8),
    "a begin that is brought forward": ([second(), second(version=2, assigned_at=day(-8))], 8, 8),
    "a begin that is put off": ([second(assigned_at=day(-8)), second(version=2)], 7, 8),
    "a begin that is put off beyond now": ([second(), second(version=2, assigned_at=day(9))], 7, 7),
    "a begin ahead that is voided": ([second(), second("unassigned", version=2)], 7, 7),
    "a begin and an end that are both due": ([second(assigned_at=day(-3), unassigned_at=FRIDAY)], 7, 7),
    "an end that lies before its begin": ([second(unassigned_at=day(-3))], 7, 7),
    "an assignment that goes to another meter ahead": (
        [assigned(1, 2, 7, version=2, assigned_at=FRIDAY)], None, None
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("batches", ["one batch", "a batch each"])
def test_a_date_ahead_counts_once_the_clock_has_reached_it(
    engine: Engine, harness: MergeHarness, name: str, batches: str
) -> None:
    changes, before, after = CHANGES[name]
    set_clock(engine, MONDAY)
    harness.apply(BILLED)
    for batch in [changes] if batches == "one batch" else [[each] for each in changes]:
        harness.apply(batch)
    assert owners(engine)[1] == before
    assert not disagreement(engine, BILLED + changes)
    harness.advance()
    harness.apply([first("unassigned", version=1, event_id="0")])  # a stale one, which changes nothing
    assert owners(engine)[1] == after
    assert not disagreement(engine, BILLED + changes)


def test_the_clock_moves_when_something_is_due_and_says_when_to_look_again(
    engine: Engine, harness: MergeHarness
) -> None:
    set_clock(engine, MONDAY)
    before = clock_of(engine)
    harness.apply([assigned(1, 1, 7, assigned_at=day(-9)), assigned(2, 2, 7, assigned_at=day(3))])
    assert harness.advance() == LOOK_SECONDS
    assert clock_of(engine) == before
    harness.apply([assigned(3, 3, 7, assigned_at=FRIDAY), assigned(4, 3, 8, assigned_at=day(2 / 86_400))])
    assert 0 <= harness.advance() <= 2
    assert clock_of(engine) > before + timedelta(days=4)


def test_the_clock_never_moves_backwards(engine: Engine, harness: MergeHarness) -> None:
    """As after a failover to a server whose time is behind."""
    set_clock(engine, 2)
    ahead = clock_of(engine)
    events = [assigned(1, 1, 7, assigned_at=day(1)), assigned(2, 2, 7, assigned_at=day(3))]
    harness.apply(events)
    assert owners(engine) == {1: 7, 2: None}
    assert harness.advance() == LOOK_SECONDS
    assert clock_of(engine) == ahead
    assert not disagreement(engine, events)


def test_the_clock_leaves_a_row_alone_that_was_loaded_without_ended(engine: Engine, harness: MergeHarness) -> None:
    set_clock(engine, MONDAY)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO meter_assignments"
                " (assignment_id, meter_id, customer_id, assigned_at, unassigned_at, active) VALUES"
                " (1, 1, 7, :friday, NULL, true), (2, 2, 7, '2025-01-01', :friday, false),"
                " (3, 3, 7, '2025-01-01', :friday, true)"
            ),
            {"friday": FRIDAY},
        )
    harness.apply([assigned(4, 4, 7, assigned_at=FRIDAY)])
    harness.advance()
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT assignment_id, active FROM meter_assignments ORDER BY 1")).all()
    assert rows == [(1, True), (2, False), (3, True), (4, True)]


def test_an_assignment_that_postgresql_refuses_stays_as_it_is_and_stops_neither_the_clock_nor_the_others(
    engine: Engine, harness: MergeHarness
) -> None:
    """The customer's total would be too large."""
    set_clock(engine, MONDAY)
    harness.apply(BILLED + MOVE)
    harness.apply([assigned(3, 3, 8, assigned_at=day(-99)), invoice(3, 3, "9999999999999999.99")])
    harness.apply([assigned(4, 4, 9, assigned_at=FRIDAY)])
    harness.advance()
    assert owners(engine) == {1: None, 3: 8, 4: 9}
    assert clock_of(engine) > datetime.fromisoformat(FRIDAY)
    harness.apply([invoice(3, 3, "9999999999999999.99", "voided", version=2), second(version=2)])
    assert owners(engine) == {1: 8, 3: 8, 4: 9}


def test_without_the_clocks_row_a_batch_is_refused_and_nothing_is_lost(engine: Engine, harness: MergeHarness) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM assignment_clock"))
    batch = harness.batch(BILLED)
    with pytest.raises(StateError, match="assignment_clock"):
        harness.apply_batch(batch)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO assignment_clock (through) VALUES (now())"))
    harness.apply_batch(batch)
    assert not disagreement(engine, BILLED)


RACES: Final[dict[str, tuple[list[CloudEvent], list[CloudEvent] | None]]] = {
    "a move that arrives as it is due": (BILLED, MOVE),
    "an invoice of a meter that changes hands": (BILLED + MOVE, [invoice(2, 1, "5.00")]),
    "a void and a payment that follows it, and the move": (
        BILLED, [invoice(1, 1, "10.00", "voided", version=2), payment(1, "4.00", invoice_id=1), *MOVE]
    ),
    "an amended date": (BILLED + MOVE, [second(version=2, assigned_at=day(-2))]),
    "a date that is put off": (BILLED + MOVE, [second(version=2, assigned_at=day(3)), invoice(3, 1, "1.00")]),
    "a void of the move": (BILLED + MOVE, [first(version=3), second("unassigned", version=2)]),
    "a move to another meter": (BILLED + MOVE, [assigned(2, 2, 8, version=2, assigned_at=FRIDAY), *BILLED]),
    "a first invoice of a meter that was assigned ahead": (
        [second()], [invoice(1, 1, "10.00"), assigned(3, 2, 8, assigned_at=FRIDAY)]
    ),
    "another consumer that moves the clock": (BILLED + MOVE, None),
}  # fmt: skip


@pytest.mark.parametrize("name", RACES)
def test_the_clock_and_a_batch_end_in_the_oracles_state_wherever_the_first_is_held(
    engine: Engine, harnesses: tuple[MergeHarness, MergeHarness], name: str
) -> None:
    before, batch = RACES[name]
    for one, other in ((None, batch), (batch, None)):
        for point in range(1, STATEMENTS_MAX + 1):
            empty(engine, day(MONDAY))
            for harness in harnesses:
                harness.begin()
            harnesses[0].apply(before)
            met, came = play(engine, (harnesses[0], one, point), (harnesses[1], other, NEVER))
            events = before + (batch or [])
            wrong = disagreement(engine, events)
            assert not wrong, f"{met} after statement {point}, the other was {came}:\n{wrong}"
            harnesses[0].advance()
            assert not disagreement(engine, events)
            if met == "done":  # it has no more statements
                break
