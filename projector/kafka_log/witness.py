"""Whether a log is still the one that was read: a look at the message that was applied last, and at its leader epoch.

Two proofs, since neither covers everything:

- The message itself is read once more, where the log still holds that offset, and compared: offset, leader epoch,
  timestamp and digest. This sees whatever was put in its place. It cannot see a break above that message, of which
  nothing was applied; nor anything once retention has deleted the message.
- The broker is asked where the message's leader epoch ended in its log, by handing the epoch to librdkafka with the
  position. This needs no message. It does not see a log that was restored from an older copy together with the
  cluster's metadata: its epochs are then given anew, and the same numbers stand for other messages.

Where the message was deleted by retention and its epoch given anew, nothing proves the break. The second look is only
made where the first is impossible; a consumer hands the epoch over with every position in any case.
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
from projector.kafka_log.receive import receive
from projector.positions.store import Found, Log, Position

PROPERTIES: Final[dict[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "isolation.level": "read_uncommitted",  # one message is compared, and none is waited for that is not committed yet
    "queued.min.messages": 1,
    "fetch.message.max.bytes": 1 << 16,  # of each partition; a larger message comes whole
}
TRUNCATED: Final = {KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION}  # noqa: SLF001 - public in librdkafka
ENDED: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - as above
POLL_SECONDS: Final = 0.2


def look(
    settings: Settings, stored: Mapping[TopicPartition, Position], logs: Mapping[TopicPartition, Log]
) -> dict[TopicPartition, Log]:
    """Return the logs with what stands where these positions' last messages were.

    Raises:
        KafkaException: the broker does not answer.

    """
    asked = {place: part for place, log in logs.items() if (part := _question(place, stored.get(place), log))}
    if not asked:
        return dict(logs)
    consumer = kafka.consumer(settings, **{"group.id": settings.group_id, **PROPERTIES})
    try:
        consumer.assign(list(asked.values()))
        found = _answers(consumer, {place: part.offset for place, part in asked.items()}, stored)
    finally:
        consumer.close()
    return {place: replace(log, found=found.get(place)) for place, log in logs.items()}


def _question(place: TopicPartition, position: Position | None, log: Log) -> KafkaPartition | None:
    """Choose where to look: at the last message; else at the position, where its epoch is known; else nowhere."""
    if position is None or position.last is None or position.topic_id != log.topic_id:
        return None
    if not log.low <= position.next_offset <= log.high:
        return None
    if position.last.offset >= log.low:
        return KafkaPartition(*place, position.last.offset)
    if position.leader_epoch is None:
        return None
    return KafkaPartition(*place, position.next_offset, leader_epoch=position.leader_epoch)


def _answers(
    consumer: Consumer, asked: dict[TopicPartition, int], stored: Mapping[TopicPartition, Position]
) -> dict[TopicPartition, Found]:
    """Wait for the first event of each partition."""
    found: dict[TopicPartition, Found] = {}
    deadline = monotonic() + kafka.PROBE_SECONDS
    while len(found) < len(asked):
        message = consumer.poll(POLL_SECONDS)
        if message is None and monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the message applied last could not be read again"))  # noqa: SLF001
        place = (str(message.topic()), message.partition() or 0) if message is not None else None
        if message is None or place not in asked or place in found:
            continue
        found[place] = _found(message, asked[place], at_position=asked[place] == stored[place].next_offset)
        consumer.pause([KafkaPartition(*place)])
    return found


def _found(message: KafkaMessage, offset: int, *, at_position: bool) -> Found:
    error = message.error()
    if error is None:
        there = message.offset() == offset and not at_position
        return Found(record=record_of(receive(message)) if there else None)
    if error.code() == ENDED:
        return Found()
    if error.code() in TRUNCATED and at_position:
        return Found(truncated=error.str())
    raise KafkaException(error)
