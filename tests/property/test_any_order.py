"""Any order, any repetition and any batching of any history ends in what the oracle computes."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from events.runtime.settings import Settings
from tests.property.hypothesis_profiles import effort, patient
from tests.support.examples import CloudEvent
from tests.support.merge_harness import Lane, disagreement, empty
from tests.support.strategies import deliveries, histories

pytestmark = patient


@pytest.fixture
def lane(engine: Engine, settings: Settings) -> Iterator[Lane]:
    lane = Lane(engine, settings)
    yield lane
    lane.close()


@effort(120)
@given(data=st.data(), history=histories())
def test_the_state_is_the_oracles_after_every_batch(
    engine: Engine, lane: Lane, data: st.DataObject, history: list[CloudEvent]
) -> None:
    empty(engine)
    lane.begin()
    seen: list[CloudEvent] = []
    for batch in data.draw(deliveries(history)):
        seen += batch
        lane.apply(batch)
        assert not disagreement(engine, seen)
