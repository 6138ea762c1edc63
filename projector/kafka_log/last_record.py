"""Whether a log is still the one that was read: read the message applied last again, or have its leader epoch checked.

There are two checks, because neither covers every case:

- Read the message again, where the log still holds its offset, and compare offset, leader epoch, timestamp and digest.
  This detects any replacement of that message. It detects no change of the log above that message, of which nothing was
  applied, and nothing once retention has deleted the message.
- Hand the message's leader epoch to librdkafka together with the position: the broker answers where that epoch ended in
  its log. This needs no message. It does not detect a log that was restored from an older copy together with the
  cluster's metadata, because the cluster then gives the same epoch numbers to other messages.

If retention has deleted the message and its epoch number was given again, the change is not detected. The second check
is made here only where the first is impossible; a consumer hands the epoch over with every position in any case.
"""

from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition as KafkaPartition

from events.contract.types import TopicPartition
from events.runtime import kafka
from events.runtime.settings import Settings
from projector.kafka_log.log_identity import record_of
from projector.kafka_log.partitions import PartitionLog, Reread
from projector.kafka_log.position_check import Position
from projector.kafka_log.receive import receive

PROPERTIES: Final[dict[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "isolation.level": "read_uncommitted",  # one message is compared; open transactions are not waited for
    "queued.min.messages": 1,
    "fetch.message.max.bytes": 1 << 16,  # of each partition; a larger message comes whole
}
TRUNCATED: Final = {KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION}  # noqa: SLF001 - public in librdkafka
ENDED: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - as above
POLL_SECONDS: Final = 0.2


def reread(
    settings: Settings, stored: Mapping[TopicPartition, Position], logs: Mapping[TopicPartition, PartitionLog]
) -> dict[TopicPartition, PartitionLog]:
    """Return the logs, each with what the broker holds at the offset of the message applied last.

    Raises:
        KafkaException: the broker does not answer.

    """
    starts = {place: start for place, log in logs.items() if (start := _start(place, stored.get(place), log))}
    if not starts:
        return dict(logs)
    own = {"group.id": settings.group_id, **PROPERTIES, "error_cb": lambda _: None}  # the caller says what failed
    consumer = kafka.consumer(settings, **own)
    try:
        consumer.assign(list(starts.values()))
        found = _read(consumer, {place: start.offset for place, start in starts.items()}, stored)
    finally:
        consumer.close()
    return {place: replace(log, reread=found.get(place)) for place, log in logs.items()}


def _start(place: TopicPartition, position: Position | None, log: PartitionLog) -> KafkaPartition | None:
    """Choose where to read: the last message; else the position with its epoch, where known; else nowhere."""
    if position is None or position.last is None or position.topic_id != log.topic_id:
        return None
    if not log.low <= position.next_offset <= log.high:
        return None
    if position.last.offset >= log.low:
        return KafkaPartition(*place, position.last.offset)
    if position.leader_epoch is None:
        return None
    return KafkaPartition(*place, position.next_offset, leader_epoch=position.leader_epoch)


def _read(
    consumer: Consumer, starts: dict[TopicPartition, int], stored: Mapping[TopicPartition, Position]
) -> dict[TopicPartition, Reread]:
    """Wait for the first message, end or error of each partition."""
    found: dict[TopicPartition, Reread] = {}
    deadline = monotonic() + kafka.PROBE_SECONDS
    while len(found) < len(starts):
        message = consumer.poll(POLL_SECONDS)
        if message is None and monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the message applied last could not be read again"))  # noqa: SLF001
        place = (str(message.topic()), message.partition() or 0) if message is not None else None
        if message is None or place not in starts or place in found:
            continue
        found[place] = _compared(message, starts[place], at_position=starts[place] == stored[place].next_offset)
        consumer.pause([KafkaPartition(*place)])
    return found


def _compared(message: KafkaMessage, offset: int, *, at_position: bool) -> Reread:
    error = message.error()
    if error is None:
        same_offset = message.offset() == offset and not at_position
        return Reread(record=record_of(receive(message)) if same_offset else None)
    if error.code() == ENDED:
        return Reread()
    if error.code() in TRUNCATED and at_position:
        return Reread(truncated=error.str())
    raise KafkaException(error)
