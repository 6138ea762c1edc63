"""Any order, any repetition and any batching of any history, and any move of the clock, end in the oracle's state."""

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.property.hypothesis_profiles import effort, patient
from tests.support.examples import CloudEvent
from tests.support.merge_harness import MergeHarness, disagreement, empty
from tests.support.strategies import clocks, deliveries, histories

pytestmark = patient


@effort(120)
@given(data=st.data(), history=histories())
def test_the_state_is_the_oracles_after_every_batch(
    engine: Engine, harness: MergeHarness, data: st.DataObject, history: list[CloudEvent]
) -> None:
    empty(engine, data.draw(clocks()))
    harness.begin()
    seen: list[CloudEvent] = []
    for batch in data.draw(deliveries(history)):
        seen += batch
        harness.apply(batch)
        assert not disagreement(engine, seen)
        if data.draw(st.booleans()):
            harness.advance()
            assert not disagreement(engine, seen)
