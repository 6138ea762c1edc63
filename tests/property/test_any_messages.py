"""Whatever an evil producer sends, nothing crashes, no partition is stuck, and no message disappears.

Ten thousand messages each time; a million with HYPOTHESIS_PROFILE=long.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from events.contract.decode import Decoder
from events.contract.types import ENTITIES, KEY_OF, Event, Message, Refusal, topic_of
from events.runtime.deadline import Deadline
from events.runtime.settings import Settings
from projector.consume.applied import Applied
from projector.consume.buffer import Buffer
from projector.consume.writer import Writer
from projector.dead_letters.resolve import headers_of
from tests.property.hypothesis_profiles import effort, patient
from tests.support.hostile import message
from tests.support.merge_harness import empty
from tests.support.recorded import disagreement

pytestmark = patient

PARTITIONS: Final = (0, 1)
MESSAGES: Final = 250
TABLES: Final = {entity: entity if entity != "assignments" else "meter_assignments" for entity in ENTITIES}
SEEDS: Final = st.lists(st.integers(0, 2**32 - 1), min_size=MESSAGES, max_size=MESSAGES)
CUTS: Final = st.sets(st.integers(1, MESSAGES - 1), max_size=2)


@pytest.fixture
def writer(engine: Engine, settings: Settings) -> Iterator[Writer]:
    made = Writer(engine, settings)
    yield made
    made.close(Deadline.after(30))


@effort(40, factor=100)
@given(seeds=SEEDS, cuts=CUTS)
def test_every_message_ends_up_applied_overtaken_or_kept_with_its_bytes(
    engine: Engine, settings: Settings, writer: Writer, seeds: list[int], cuts: set[int]
) -> None:
    empty(engine)
    messages = _log(seeds, settings)
    decode = Decoder(settings.currency, settings.topic_prefix)
    applied = _consume(engine, settings, writer, messages, sorted({0, *cuts, MESSAGES}))
    outcomes = [decode(each) for each in messages]
    events = {_place(m): e for m, e in zip(messages, outcomes, strict=True) if isinstance(e, Event)}

    kept = _dead_letters(engine)
    assert applied.events == MESSAGES
    assert applied.refused == len(kept)
    assert applied.stale >= 0
    for each, outcome in zip(messages, outcomes, strict=True):
        reason, *raw = kept.get(_place(each), (None,))
        assert reason == (outcome.reason if isinstance(outcome, Refusal) else reason and "refused-by-database"), each
        assert raw == ([each.key, each.value, each.headers] if reason else []), each
    taken = {place: event for place, event in events.items() if place not in kept}
    _expect_history(engine, taken)
    # The oracle keeps the first of equal ones: here that is the one that stands sooner in its topic.
    in_order = [_written(taken[place]) for place in sorted(taken, key=lambda place: place[1:])]
    with engine.connect() as connection:
        assert not disagreement(in_order, connection)


def _log(seeds: Sequence[int], settings: Settings) -> list[Message]:
    """Append the messages to two partitions of each topic, in an order as mixed as they are."""
    ends: Counter[tuple[str, int]] = Counter()
    log = []
    for seed in seeds:
        written = message(seed, topic_prefix=settings.topic_prefix, partition=seed % len(PARTITIONS))
        place = written[:2]
        log.append(written._replace(offset=ends[place]))
        ends[place] += 1
    return log


def _consume(
    engine: Engine, settings: Settings, writer: Writer, messages: Sequence[Message], cuts: Sequence[int]
) -> Applied:
    """Read, decode and apply as a consumer does; see that the positions moved over every message."""
    topics = [topic_of(entity, settings.topic_prefix) for entity in ENTITIES]
    start = {(topic, partition): 0 for topic in topics for partition in PARTITIONS}
    with engine.begin() as connection:
        insert = text(
            "INSERT INTO positions (group_id, topic, partition, next_offset) VALUES (:group, :topic, :part, 0)"
        )
        connection.execute(insert, [{"group": settings.group_id, "topic": t, "part": p} for t, p in start])
    decode, buffer = Decoder(settings.currency, settings.topic_prefix), Buffer()
    buffer.assign(start)
    total = Applied(events=0, applied=0, refused=0, conflicts=0)
    for first, end in pairwise(cuts):
        for each in messages[first:end]:
            buffer.add(each, decode(each))
        total += writer.submit(buffer.take()).result(60)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT topic, partition, next_offset FROM positions"))
        assert {(topic, partition): end for topic, partition, end in rows} == buffer.start_offsets
    return total


def _dead_letters(engine: Engine) -> dict[Any, tuple[Any, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT topic, partition, source_offset, reason, key, value, headers FROM dead_letters")
        )
        return {
            (topic, partition, offset): (reason, key, value, headers_of(headers))
            for topic, partition, offset, reason, key, value, headers in rows
        }


def _expect_history(engine: Engine, events: dict[Any, Event]) -> None:
    """See that each event that is no dead letter stands in history, or something greater in its stead."""
    with engine.connect() as connection:
        for entity, table in TABLES.items():
            rows = connection.execute(text(f"SELECT {KEY_OF[entity]}, version, event_id FROM {table}"))
            stored = {key: (version, event_id.encode()) for key, version, event_id in rows}
            for event in events.values():
                if event.entity == entity:
                    rank = event.data["version"], event.id.encode()
                    assert stored[event.data[KEY_OF[entity]]] >= rank, event


def _written(event: Event) -> dict[str, Any]:
    data = {name: str(value) if name in DATES else value for name, value in event.data.items() if value is not None}
    return {"id": event.id, "type": event.type, "data": data}


def _place(each: Message) -> tuple[str, int, int]:
    return each[:3]


DATES: Final = {"invoice_date", "due_date", "paid_at", "assigned_at", "unassigned_at"}
