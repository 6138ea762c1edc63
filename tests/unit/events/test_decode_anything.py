"""Whatever bytes, headers and keys arrive, decoding answers and never raises."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.contract.cloudevents import STRUCTURED_HEADERS
from events.contract.decode import Decoder
from events.contract.types import ENTITIES, Event, Message, Refusal, topic_of
from events.simulate.options import Options
from events.simulate.traffic import simulate
from tests.property.hypothesis_profiles import effort, patient
from tests.support import hostile
from tests.unit.events.json_schema import conforms

DECODE = Decoder(currency="KES", topic_prefix="billing")
LINES = tuple(simulate(Options(customers=3, meters=6, months=3, voids=0.2)))
TOPICS = [*(topic_of(entity, "billing") for entity in ENTITIES), "other"]
HEADER_NAMES = ["content-type", "Content-Type", "ce_id", "CE_ID", "ce_type", "ce_source", "ce_specversion", "x", ""]
HEADER_VALUES = [None, b"", b"\xff", b"1.0", b"a\x00", b"billing.invoice.issued", b"application/cloudevents+json", b"/"]

headers = st.lists(
    st.tuples(st.sampled_from(HEADER_NAMES) | st.text(), st.sampled_from(HEADER_VALUES) | st.binary(max_size=20))
).map(tuple)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**65),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", "1.00", "-1", "2026-01-31", "2026-01-31T00:00:00Z", "KES", "1.0", "\x00", "é", "0.00", "86400"]
    ),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner))


def answer(message: Message) -> Event | Refusal:
    result = DECODE(message)
    assert isinstance(result, Event | Refusal)
    if isinstance(result, Refusal):
        assert 0 < len(result.detail) <= 300
    return result


@given(st.binary(), st.none() | st.binary(), headers, st.sampled_from(TOPICS))
def test_any_bytes_headers_and_key_are_answered(
    value: bytes, key: bytes | None, given_headers: tuple[tuple[str, bytes | None], ...], topic: str
) -> None:
    answer(Message(topic, 0, 0, -1, key, value, given_headers))


@given(st.sampled_from(LINES), st.data(), headers | st.just(STRUCTURED_HEADERS), st.sampled_from(TOPICS))
def test_any_damage_to_a_sound_event_is_answered(
    line: bytes, data: st.DataObject, given_headers: tuple[tuple[str, bytes | None], ...], topic: str
) -> None:
    start = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(start, min(len(line), start + 20)))
    damaged = line[:start] + data.draw(st.binary(max_size=8)) + line[end:]
    answer(Message(topic, 0, 0, 0, None, damaged, given_headers))


@patient
@effort(200, factor=50)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=100, max_size=100))
def test_whatever_an_evil_producer_writes_is_answered(seeds: list[int]) -> None:
    """Twenty thousand messages each time; a million with HYPOTHESIS_PROFILE=long."""
    for seed in seeds:
        answer(hostile.message(seed, topic_prefix="billing"))


@st.composite
def _altered(draw: st.DrawFn) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(draw(st.sampled_from(LINES)))
    for _ in range(draw(st.integers(0, 2))):
        within = draw(st.sampled_from([event, event["data"]])) if isinstance(event.get("data"), dict) else event
        name = draw(st.sampled_from(sorted(within)) | st.text(max_size=9)) if within else "id"
        if draw(st.booleans()):
            within[name] = draw(values)
        else:
            within.pop(name, None)
    return event


@given(st.sampled_from(LINES), st.data(), st.sampled_from(["null", "1", '"x"', "[]", "{}", '[{"a": "b"}]']))
def test_a_member_written_twice_is_never_accepted(line: bytes, data: st.DataObject, other: str) -> None:
    event: dict[str, Any] = json.loads(line)
    for within in (event, event["data"]):
        for name in data.draw(st.lists(st.sampled_from(["time", "subject", "due_date", "method", "x"]), max_size=3)):
            within.setdefault(name, data.draw(st.sampled_from([None, "2026-01-31", 5])))
    text = json.dumps(event)
    name = data.draw(st.sampled_from(sorted({*event, *event["data"]})))
    twice = text.replace(f'"{name}":', f'"{name}"{data.draw(st.sampled_from(["", " "]))}:{other},"{name}":', 1)
    result = DECODE.structured(twice.encode())
    assert isinstance(result, Refusal)


def test_only_unusual_events_are_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_again(value: bytes) -> None:
        raise AssertionError(value)

    monkeypatch.setattr("events.contract.decode._require_distinct", read_again)
    for line in LINES:
        answered = DECODE.structured(line)
        assert isinstance(answered, Event)
        event = json.loads(line)
        nulls = {name: None for name, value in answered.data.items() if value is None}
        event["data"] |= nulls
        assert DECODE.structured(json.dumps(event, indent=2).encode()) == answered


@given(_altered())
def test_decoder_and_schema_agree(event: dict[str, Any]) -> None:
    line = json.dumps(event).encode()
    result = DECODE.structured(line)
    if isinstance(result, Event):
        assert conforms(event)
    elif result.reason not in {"wrong-currency", "not-json"} and "lies outside" not in result.detail:
        assert not conforms(event), result
