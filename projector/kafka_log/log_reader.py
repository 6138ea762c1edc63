"""Read any range of the log without joining the consumer group: no offset is committed."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition as KafkaPartition

from events.contract.types import Message
from events.runtime import kafka
from events.runtime.errors import ServiceTemporarilyUnavailableError
from events.runtime.settings import Settings
from projector.kafka_log.receive import receive

READER_PROPERTIES: Final[dict[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "queued.max.messages.kbytes": 16_384,
    "queued.min.messages": 10_000,
    "fetch.queue.backoff.ms": 20,
    "fetch.wait.max.ms": 20,  # an answer that waits for messages at one log's end delays the next partition's
}
"""Properties that reading depends on; the deployment's own values for its consumers do not apply."""
MEMBER_PROPERTIES: Final = {"group.id", "group.instance.id", "group.protocol", "group.remote.assignor"}
"""Properties of a group member, which do not apply either."""
POLL_MESSAGES_MAX: Final = 1_000  # taken from librdkafka in one call
SEEK_OVER_MESSAGES: Final = 2_000  # reading over fewer messages is faster than a seek
WAIT_SECONDS: Final = 0.5
SILENCE_SECONDS: Final = 30.0  # a broker that sends nothing for so long is away
OUT_OF_RANGE: Final = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001 - public in librdkafka
TRANSIENT_ERRORS: Final = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT}  # noqa: SLF001 - as above


class ExpiredError(Exception):
    """Retention has deleted the requested offset; nothing was read."""


class LogReader:
    """One reader; a range that begins where the previous one ended needs no seek."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        given = {
            name: value
            for name, value in settings.kafka.items()
            if _plain(name) not in {*READER_PROPERTIES, *MEMBER_PROPERTIES}
        }
        own = {**READER_PROPERTIES, "group.id": f"{settings.group_id}.log-reader"}
        self._consumer: Consumer = kafka.consumer(settings.model_copy(update={"kafka": given}), **own)
        self._place: tuple[str, int] | None = None
        self._next = 0
        self._pending: deque[KafkaMessage] = deque()

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Message]:
        """Yield the messages whose offsets are from `start` up to, not including, `end`, in order.

        Raises:
            ExpiredError: the broker's log starts after `start`.
            ServiceUnavailableError: the broker does not answer.

        """
        if start >= end:
            return
        if (self._place, self._next) != ((topic, partition), start):
            self._pending.clear()
            self._consumer.assign([KafkaPartition(topic, partition, start)])
            self._place, self._next = (topic, partition), start
        for message in self._each():
            error, offset = message.error(), message.offset() or 0
            if error is None and offset < start:
                continue
            if offset >= end:  # past the range, or the end of the log
                if error is None:
                    self._pending.appendleft(message)
                break
            if error is None:
                self._next = offset + 1
                yield receive(message)
                if self._next >= end:
                    break
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - as above
                break
        self._next = end

    def one(self, topic: str, partition: int, offset: int) -> Message | None:
        """Read the message at an offset; None if there is none. Ascending offsets near each other need no seek.

        Raises:
            ServiceUnavailableError: the broker does not answer.

        """
        near = self._place == (topic, partition) and 0 <= offset - self._next <= SEEK_OVER_MESSAGES
        try:
            last = deque(self.read(topic, partition, self._next if near else offset, offset + 1), maxlen=1)
        except ExpiredError:
            return None
        return last[0] if last and last[0].offset == offset else None

    def _each(self) -> Iterator[KafkaMessage]:
        """Yield messages and ends of the log."""
        received_at = monotonic()
        while True:
            while self._pending:
                received_at = monotonic()
                yield self._pending.popleft()
            first = self._consumer.consume(1, WAIT_SECONDS)
            for message in [*first, *(self._consumer.consume(POLL_MESSAGES_MAX, 0) if first else ())]:
                if self._is_message_or_end(message):
                    self._pending.append(message)
            if not self._pending and monotonic() - received_at > SILENCE_SECONDS:
                where = self._settings.kafka_bootstrap_servers
                cause = kafka.explain_silence(self._settings)
                raise ServiceTemporarilyUnavailableError(
                    f"Kafka at {where} sends nothing from offset {self._next} of {self._place}{cause}"
                )

    def _is_message_or_end(self, message: KafkaMessage) -> bool:
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - as above
            return True
        if error.code() in OUT_OF_RANGE:
            self._place = None
            raise ExpiredError(error.str())
        if error.code() not in TRANSIENT_ERRORS:
            raise kafka.unavailable(self._settings, KafkaException(error))
        return False

    def close(self) -> None:
        """Disconnect from the brokers."""
        self._consumer.close()


@contextmanager
def reading(settings: Settings) -> Iterator[LogReader]:
    """Open a reader for the duration of the block."""
    reader = LogReader(settings)
    try:
        yield reader
    finally:
        reader.close()


def _plain(name: str) -> str:
    return name.lower().replace("_", ".")
