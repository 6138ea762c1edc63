"""Feed the projector's merge without a broker: messages numbered as a partition's log would number them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from psycopg import Connection
from sqlalchemy import Engine, text

from events.contract.decode import Decoder
from events.contract.types import ENTITIES, TYPES, Message, TopicPartition, topic_of
from events.runtime.settings import Settings
from projector.consume import clock, merge
from projector.consume.applied import Applied
from projector.consume.batch import Batch, Item, end_offsets_of, make_item
from tests.support import recorded
from tests.support.examples import CloudEvent, line

TABLES: Final = (
    "invoices, payments, meter_assignments, customers, meter_balances, customer_balances, positions, dead_letters, "
    "backfill_runs, drift"
)


class MergeHarness:
    """One consumer: a connection of its own, and one partition of each topic that nobody else reads.

    Args:
        engine: of the database under test; the harness takes one connection out of its pool and gives it back on close.
        settings: whose group owns the positions.
        partition: the harness's, on every topic.
        begin: write the positions; two harnesses on one partition share those of the first.

    """

    def __init__(self, engine: Engine, settings: Settings, partition: int = 0, *, begin: bool = True) -> None:
        self._pooled = engine.raw_connection()
        connection = self._pooled.driver_connection
        assert isinstance(connection, Connection)
        self.connection: Connection[Any] = connection
        self.connection.execute("SET synchronous_commit = off")  # no test of the merge crashes the server
        self.connection.commit()
        merge.prepare(self.connection)
        self.settings, self.partition = settings, partition
        self._decode = Decoder(settings.currency, settings.topic_prefix)
        self._next: Counter[TopicPartition] = Counter()
        if begin:
            self.begin()

    def begin(self) -> None:
        """Start the log anew, with positions at its beginning."""
        self._next.clear()
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO positions (group_id, topic, partition, next_offset) VALUES (%s, %s, %s, 0)",
                [(self.settings.group_id, self._topic(entity), self.partition) for entity in ENTITIES],
            )

    def restart(self, offset: int) -> None:
        """Give the next messages the offsets from here on, as a consumer reads them whose positions were set there."""
        self._next = Counter({(self._topic(entity), self.partition): offset for entity in ENTITIES})

    def batch(self, events: Iterable[CloudEvent]) -> Batch:
        """Append events to the harness's log, and hand them out as one batch."""
        items = [self._item(event) for event in events]
        ends = end_offsets_of(items)
        known = {place: next(i.message.offset for i in items if i.message[:2] == place) for place in ends}
        return Batch(items=items, start_offsets=known, end_offsets=ends)

    def apply(self, events: Iterable[CloudEvent]) -> Applied:
        """Apply events as one batch in one transaction."""
        return self.apply_batch(self.batch(events))

    def apply_batch(self, batch: Batch) -> Applied:
        """Apply a batch of this harness in one transaction."""
        return merge.apply(self.connection, batch, self.settings.group_id)

    def advance(self) -> float:
        """Move the clock to now, if an assignment is due, as a consumer does; return when to look again, in seconds."""
        return clock.advance(self.connection)

    def close(self) -> None:
        """Give the connection up for good: it carries staging tables that the pool's next user would stumble over."""
        self._pooled.invalidate()

    def _item(self, event: CloudEvent) -> Item:
        topic = self._topic(TYPES[event["type"]])
        place = (topic, self.partition)
        message = Message(topic, self.partition, self._next[place], 1_767_225_600_000, None, line(event), ())
        self._next[place] += 1
        return make_item(message, self._decode(message))

    def _topic(self, entity: Any) -> str:  # noqa: ANN401 - one of events.contract.types.Entity
        return topic_of(entity, self.settings.topic_prefix)


def empty(engine: Engine, clock: str = "now") -> None:
    """Delete every row, and set the clock; on tables this small that costs a tenth of what truncating them does."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL synchronous_commit = off"))
        for table in reversed(TABLES.split(", ")):
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("UPDATE assignment_clock SET through = CAST(:clock AS timestamptz)"), {"clock": clock})


def set_clock(engine: Engine, days: float) -> None:
    """Set the clock so many days after now; it moves to now when an assignment is due."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE assignment_clock SET through = now() + :days * interval '1 day'"), {"days": days}
        )


def day(days: float) -> str:
    """Write the moment so many days after now."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def disagreement(engine: Engine, events: Sequence[CloudEvent]) -> str:
    """Say how the database differs from what these events amount to; an empty text where it doesn't."""
    with engine.connect() as connection:
        return recorded.disagreement(events, connection)


@pytest.fixture
def harness(engine: Engine, settings: Settings) -> Iterator[MergeHarness]:
    made = MergeHarness(engine, settings)
    yield made
    made.close()


@pytest.fixture
def harnesses(engine: Engine, settings: Settings) -> Iterator[tuple[MergeHarness, MergeHarness]]:
    pair = MergeHarness(engine, settings, 0), MergeHarness(engine, settings, 1)
    yield pair
    for harness in pair:
        harness.close()
