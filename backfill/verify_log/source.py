"""What a run asks of Kafka: the messages of a part of the log, and where the log begins and ends now."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import Engine

from backfill.verify_log.plan import Part, Plan, require_unchanged
from events.contract.decode import Decoder
from events.contract.types import ENTITIES, Event, Message, Refusal, TopicPartition, topic_of
from events.runtime import kafka
from events.runtime.settings import Settings
from projector.deployment import cluster
from projector.kafka_log.log_reader import ExpiredError, LogReader, reading
from projector.kafka_log.partitions import PartitionLog, cluster_id, describe_partitions

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

BATCH_MESSAGES: Final = 2_000  # in memory at once
BATCH_BYTES: Final = 8 << 20  # of raw messages in memory at once; a larger one is held alone


class Source:
    """The broker, for one run. Messages of any currency are decoded: what was accepted once may be refused now."""

    def __init__(self, settings: Settings, client: "AdminClient", reader: LogReader) -> None:
        self._topics = [topic_of(entity, settings.topic_prefix) for entity in ENTITIES]
        self._client = client
        self._reader = reader
        self.decode: Final = Decoder(None, settings.topic_prefix)

    def logs(self) -> dict[TopicPartition, PartitionLog]:
        """Ask where every partition's log begins and ends."""
        return describe_partitions(self._client, self._topics)

    def require_unchanged(self, plan: Plan) -> dict[TopicPartition, PartitionLog]:
        """Ask the same of the topics that the plan was made for.

        Raises:
            StateError: one of them was recreated or truncated.

        """
        logs = self.logs()
        require_unchanged(plan, logs)
        return logs

    def batches(self, part: Part) -> Iterator[list[tuple[Message, Event | Refusal]]]:
        """Read a part of the log in batches that fit into memory; what retention deleted meanwhile is left out."""
        batch: list[tuple[Message, Event | Refusal]] = []
        size = 0
        for message in self._each(part):
            weight = len(message.value or b"") + len(message.key or b"")
            if batch and (len(batch) >= BATCH_MESSAGES or size + weight > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append((message, self.decode(message)))
            size += weight
        if batch:
            yield batch

    def _each(self, part: Part) -> Iterator[Message]:
        place = part.range.topic, part.range.partition
        start = part.start
        while start < part.end:
            try:
                yield from self._reader.read(*place, start, part.end)
            except ExpiredError:
                start = max(start + 1, self.logs()[place].low)
            else:
                return


@contextmanager
def opened(settings: Settings, engine: Engine) -> Iterator[Source]:
    """Connect to the broker while the block lasts.

    Raises:
        ServiceUnavailableError: it does not answer, or refuses the connection.
        StateError, SettingError: it does not belong to the deployment's cluster.

    """
    with kafka.translate_kafka_errors(settings):
        client = kafka.admin(settings)  # first: it describes in one line why a broker cannot be reached
        cluster.require(engine, settings, cluster_id(client))
        with reading(settings) as reader:
            yield Source(settings, client, reader)
