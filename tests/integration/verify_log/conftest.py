"""Events on a real log, applied by the merge, and the auditor of the log run in this process."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import pytest
from confluent_kafka import TopicPartition
from sqlalchemy import Engine, text

from backfill.execution.worker import RunTuning
from backfill.options import ReportFormat
from backfill.reports.output import ReportOptions
from backfill.verify_log.verify import Asked, verify_log
from events.contract.decode import Decoder
from events.contract.types import ENTITIES, Entity, topic_of
from events.publish import publish
from events.runtime import kafka
from events.runtime.settings import Settings, load
from projector.consume import merge
from projector.consume.batch import Batch, Item, make_item
from projector.database.engines import transaction
from projector.kafka_log.log_reader import LogReader
from projector.kafka_log.partitions import PartitionLog, describe_partitions
from projector.positions import store as positions
from tests.conftest import WaitUntil
from tests.support import recorded
from tests.support.examples import CloudEvent, line

Wrong = tuple[str, int, str, str | None, str | None, str]
"""Entity, id, column, recorded, expected and cause of a finding."""


class Verified(NamedTuple):
    """How a run ended, and its report."""

    exit_code: int
    document: dict[str, Any]

    @property
    def found(self) -> set[Wrong]:
        members = ("entity", "entity_id", "column", "recorded", "expected", "cause")
        return {tuple(each[name] for name in members) for each in self.document["findings"]}

    @property
    def log(self) -> dict[str, int]:
        counts: dict[str, int] = self.document["log"]
        return counts


class Logged:
    """One deployment's topics and tables, and a consumer of our own that reads them without a group."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings, self.engine = settings, engine
        self.client = kafka.admin(settings)
        self.events: list[CloudEvent] = []
        self._topics = [topic_of(entity, settings.topic_prefix) for entity in ENTITIES]
        self._pooled = engine.raw_connection()
        connection: Any = self._pooled.driver_connection
        self._connection = connection
        merge.prepare(self._connection)

    def logs(self) -> dict[tuple[str, int], PartitionLog]:
        return describe_partitions(self.client, self._topics)

    def send(self, *events: CloudEvent) -> None:
        """Put events on the log."""
        self.events += events
        publish((line(event) for event in events), self.settings, "test")

    def send_raw(self, entity: Entity, value: bytes, partition: int = 0) -> None:
        """Put bytes on the log."""
        producer = kafka.producer(self.settings)
        producer.produce(topic_of(entity, self.settings.topic_prefix), value, partition=partition)
        producer.flush()

    def apply(self, *events: CloudEvent) -> None:
        """Put events on the log, and apply all that is there."""
        self.send(*events)
        self.catch_up()

    def catch_up(self, decode: Decoder | None = None) -> None:
        """Apply what is on the log and was not applied yet, a batch a partition."""
        logs = self.logs()
        with transaction(self.engine) as connection:
            stored = positions.begin(connection, self.settings.group_id, logs)
        reader = LogReader(self.settings)
        for place, log in sorted(logs.items()):
            start = stored[place].next_offset
            items = self._items(reader, place, (start, log.high), decode)
            if items:
                topic_ids = {place[0]: stored[place].topic_id}
                batch = Batch(
                    items=items, start_offsets={place: start}, end_offsets={place: log.high}, topic_ids=topic_ids
                )
                merge.apply(self._connection, batch, self.settings.group_id)
        reader.close()

    def _items(
        self, reader: LogReader, place: tuple[str, int], between: tuple[int, int], decode: Decoder | None
    ) -> list[Item]:
        decode = decode or Decoder(self.settings.currency, self.settings.topic_prefix)
        return [make_item(message, decode(message)) for message in reader.read(*place, *between)]

    def delete_before(self, entity: Entity, partition: int, offset: int) -> None:
        """Do what retention does."""
        where = TopicPartition(topic_of(entity, self.settings.topic_prefix), partition, offset)
        for future in self.client.delete_records([where]).values():
            future.result()

    def sql(self, statement: str, **values: object) -> list[Any]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    def verify(self, **asked: Any) -> Verified:  # noqa: ANN401 - what `Asked` takes
        """Run the auditor of the log, and read its report."""
        how = {"report": ReportOptions(format=ReportFormat.JSON), "tuning": RunTuning(governed=False), **asked}
        with redirect_stdout(io.StringIO()) as out:
            code = verify_log(self.settings, Asked(**how))
        [report] = [text for text in out.getvalue().splitlines() if text.startswith("{")]  # beside log lines
        return Verified(code, json.loads(report))

    def disagreement(self, events: Sequence[CloudEvent] | None = None) -> str:
        with self.engine.connect() as connection:
            return recorded.disagreement(self.events if events is None else events, connection)

    def close(self) -> None:
        self._pooled.invalidate()


@pytest.fixture
def logged(kafka_settings: Settings, engine: Engine, wait_until: WaitUntil) -> Iterator[Logged]:
    made = Logged(kafka_settings, engine)
    topics = {topic_of(entity, kafka_settings.topic_prefix) for entity in ENTITIES}
    wait_until(lambda: made.client.list_topics(timeout=10).topics.keys() >= topics, what="the topics to be known")
    yield made
    made.close()


@pytest.fixture
def environment(kafka_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process that replays find the same services."""
    for name, value in kafka_environment.items():
        if name.startswith("PROJECTOR_"):
            monkeypatch.setenv(name, value)
    load.cache_clear()
