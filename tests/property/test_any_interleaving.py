"""Two transactions may be held anywhere, one in the middle of the other: both end, and in what the oracle computes."""

from typing import NamedTuple

from hypothesis import event, given
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.property.hypothesis_profiles import effort, patient
from tests.support.examples import CloudEvent
from tests.support.interleaving import STATEMENTS_MAX, play
from tests.support.merge_harness import MergeHarness, disagreement, empty
from tests.support.strategies import clocks, histories

pytestmark = patient

PARTS = st.sets(st.sampled_from(("before", "one", "other")), min_size=1)


class Meeting(NamedTuple):
    """What is applied beforehand, the two batches that meet, and after which statement each of them is held.

    No second batch: the clock is moved instead, from where it stood.
    """

    clock: str
    before: list[CloudEvent]
    one: list[CloudEvent]
    other: list[CloudEvent] | None
    here: int
    there: int


@st.composite
def meetings(draw: st.DrawFn) -> Meeting:
    """Draw one history and deal it out; an event may be dealt to several parts."""
    history = draw(histories(24))
    dealt = draw(st.lists(PARTS, min_size=len(history), max_size=len(history)))
    parts = [[e for e, to in zip(history, dealt, strict=True) if part in to] for part in ("before", "one", "other")]
    before, one, other = parts
    points = st.integers(1, STATEMENTS_MAX)
    second = None if draw(st.booleans()) else other or history
    return Meeting(draw(clocks()), before, one or history, second, draw(points), draw(points))


@effort(150)
@given(meeting=meetings())
def test_wherever_two_transactions_meet_the_state_is_the_oracles(
    engine: Engine, harnesses: tuple[MergeHarness, MergeHarness], meeting: Meeting
) -> None:
    empty(engine, meeting.clock)
    for harness in harnesses:
        harness.begin()
    harnesses[0].apply(meeting.before)
    event(str(play(engine, (harnesses[0], meeting.one, meeting.here), (harnesses[1], meeting.other, meeting.there))))
    assert not disagreement(engine, meeting.before + meeting.one + (meeting.other or []))
