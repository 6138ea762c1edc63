"""A consumer that reads what a test hands it, in the deployment's currency, and keeps what it refuses."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from sqlalchemy import Engine, text

from events.contract.decode import Decoder, Headers
from events.contract.types import Entity, Message, topic_of
from events.runtime.settings import Settings
from projector.consume import merge
from projector.consume.applied import Applied
from projector.consume.batch import Batch, end_offsets_of, make_item
from projector.dead_letters.resolve import Retried, retry
from projector.dead_letters.selection import Selection
from tests.support.examples import CloudEvent, invoice, line
from tests.support.merge_harness import MergeHarness
from tests.support.written_down import in_currency

TIMESTAMP_MS: Final = 1_767_225_600_000
EVENTS: Final = [invoice(n, n % 3 + 1, f"{n}.25") for n in range(1, 8)]


class Reader:
    """One partition of each topic, read in batches."""

    def __init__(self, harness: MergeHarness) -> None:
        self.harness = harness
        self.settings = harness.settings
        self._decode = Decoder(self.settings.currency, self.settings.topic_prefix)
        self._next: dict[str, int] = {}
        self._topic_id: str | None = None

    def read(
        self, values: Sequence[bytes | None], entity: Entity = "invoices", *, key: bytes = b"", headers: Headers = ()
    ) -> Applied:
        """Apply messages with these values as one batch."""
        topic = topic_of(entity, self.settings.topic_prefix)
        start = self._next.get(topic, 0)
        messages = [
            Message(topic, self.harness.partition, start + n, TIMESTAMP_MS, key, value, headers)
            for n, value in enumerate(values)
        ]
        self._next[topic] = start + len(values)
        items = [make_item(message, self._decode(message)) for message in messages]
        batch = Batch(
            items=items, start_offsets={(topic, self.harness.partition): start}, end_offsets=end_offsets_of(items)
        )
        batch = replace(batch, topic_ids={topic: self._topic_id})
        return merge.apply(self.harness.connection, batch, self.settings.group_id)

    def replay(self) -> None:
        """Begin again at offset 0."""
        self._next.clear()
        with self.harness.connection.transaction():
            self.harness.connection.execute("UPDATE positions SET next_offset = 0")

    def recreated(self, topic_id: str) -> None:
        """Begin at offset 0 of other topics of the same names."""
        self.replay()
        self._topic_id = topic_id
        with self.harness.connection.transaction():
            self.harness.connection.execute("UPDATE positions SET topic_id = %s", [topic_id])


@pytest.fixture
def reader(engine: Engine, settings: Settings) -> Iterator[Reader]:
    harness = MergeHarness(engine, settings, partition=4)
    yield Reader(harness)
    harness.close()


@pytest.fixture
def fixed(settings: Settings, environment: dict[str, str]) -> dict[str, str]:
    """Make the fix that events in dollars are waiting for: the deployment has that currency."""
    return in_currency(settings, environment, "USD")


def dollars(*events: CloudEvent) -> list[bytes]:
    """Write events in a currency that is not the deployment's."""
    return [line({**event, "data": {**event["data"], "currency": "USD"}}) for event in events]


def letters(engine: Engine) -> list[dict[str, Any]]:
    """Read every dead letter, in the order they were kept."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM dead_letters ORDER BY dead_letter_id"))
        return [dict(row) for row in rows.mappings()]


def states(engine: Engine) -> list[str]:
    """Read what became of each."""
    return [letter["state"] for letter in letters(engine)]


def in_dollars(events: Sequence[CloudEvent]) -> list[CloudEvent]:
    """Return what the oracle should make of events once dollars are accepted."""
    return [{**event, "data": {**event["data"], "currency": "USD"}} for event in events]


def retried(engine: Engine, settings: Settings, chosen: Selection | None = None) -> Retried:
    """Retry with dollars accepted, on a connection of its own."""
    harness = MergeHarness(engine, settings, begin=False)
    try:
        return retry(harness.connection, chosen or Selection(), Decoder("USD", settings.topic_prefix), "tests")
    finally:
        harness.close()
