"""Two consumers that apply overlapping keys at the same time end in what the oracle computes, and never deadlock."""

from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from threading import Barrier

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.property.hypothesis_profiles import effort, patient
from tests.support.examples import CloudEvent
from tests.support.merge_harness import MergeHarness, disagreement, empty
from tests.support.strategies import clocks, deliveries, histories

pytestmark = patient

PATIENCE_SECONDS = 120.0


@effort(80)
@given(data=st.data(), history=histories(max_size=40))
def test_the_state_is_the_oracles_after_every_round(
    engine: Engine, harnesses: tuple[MergeHarness, MergeHarness], data: st.DataObject, history: list[CloudEvent]
) -> None:
    """Each round both begin a batch at the same instant, and then move the clock; they are often given the same."""
    empty(engine, data.draw(clocks()))
    shares = [data.draw(deliveries(data.draw(_share(history)) or history)) for _ in harnesses]
    for harness in harnesses:
        harness.begin()
    seen: list[CloudEvent] = []
    barrier = Barrier(len(harnesses), timeout=PATIENCE_SECONDS)
    with ThreadPoolExecutor(len(harnesses)) as pool:
        for batches in zip_longest(*shares, fillvalue=[]):
            list(pool.map(_apply_together, harnesses, batches, [barrier] * len(harnesses), timeout=PATIENCE_SECONDS))
            seen += [event for batch in batches for event in batch]
            assert not disagreement(engine, seen)


def _share(history: list[CloudEvent]) -> st.SearchStrategy[list[CloudEvent]]:
    """Draw the part of a history that one consumer is given."""
    kept = st.lists(st.booleans(), min_size=len(history), max_size=len(history))
    return kept.map(lambda flags: [event for event, flag in zip(history, flags, strict=True) if flag])


def _apply_together(harness: MergeHarness, events: list[CloudEvent], barrier: Barrier) -> None:
    barrier.wait()
    if events:
        harness.apply(events)
    harness.advance()
