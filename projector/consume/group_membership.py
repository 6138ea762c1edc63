"""One membership of the consumer group: joining, being given and losing partitions, leaving.

Partitions start at PostgreSQL's positions. Kafka's own committed offsets are written as a hint for lag tools and never
read. A revoke waits, within a budget, for the batch in flight; where that is too short, or the partitions are lost
already, the compare-and-set on the positions is what keeps a batch from counting twice.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition as KafkaPartition

from events.contract.types import TopicPartition
from events.runtime import kafka
from events.runtime.deadline import Deadline
from events.runtime.errors import ProgramError
from events.runtime.settings import Settings
from projector.errors import PositionMoved
from projector.kafka_log.kafka_errors import INTERRUPTED, require_able
from projector.positions.store import Position

OWN_PROPERTIES: Final[dict[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # a position out of range is never reset in silence
    "enable.partition.eof": True,
    "queued.max.messages.kbytes": 16_384,
    "fetch.queue.backoff.ms": 20,  # the default of a second starves a consumer that empties its queue in less
    "socket.timeout.ms": 10_000,  # a connection that hangs is given up, and a commit under way does not hold up the end
    "max.poll.interval.ms": 600_000,  # PostgreSQL may be away this long before the group moves on without us
}
LEAVE_SECONDS: Final = 2.0  # to tell the group, even where the budget is used up
COOPERATIVE: Final = {"partition.assignment.strategy": "cooperative-sticky"}
Start = Callable[[set[TopicPartition]], Mapping[TopicPartition, Position]]
"""Told which partitions were given, returns where to start on each."""
Leave = Callable[[set[TopicPartition]], Mapping[TopicPartition, int]]
"""Told which partitions are being taken, settles what it holds of them and returns their positions."""

_log = structlog.get_logger()


class Membership:
    """A subscription, and what the group lets us read."""

    def __init__(self, settings: Settings, topics: list[str], *, start: Start, leave: Leave) -> None:
        self._start = start
        self._leave = leave
        self._group_id = settings.group_id
        self._failure: ProgramError | KafkaException | None = None
        self.places: set[TopicPartition] = set()
        self.joined = False
        self.interrupted = False  # a connection was lost since somebody last set this back
        own = {"group.id": settings.group_id, **OWN_PROPERTIES, "error_cb": self._complain}
        given = kafka.client_config(settings, **own)
        next_generation = given.get("group.protocol") == "consumer"
        strategy = {} if next_generation else COOPERATIVE
        self._consumer: Consumer = kafka.consumer(settings, **{**own, **strategy})
        self._incremental = (
            next_generation or "cooperative" in {**COOPERATIVE, **given}["partition.assignment.strategy"]
        )
        self._consumer.subscribe(topics, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lost)

    def poll(self, messages_max: int, *, timeout_seconds: float) -> Iterator[KafkaMessage]:
        """Wait for a first message, then take what is there without waiting.

        The first is handed over before the rest is asked for: a rebalance meanwhile must find it taken in, to be
        forgotten with its partition. Taken in after one, it would hide the messages before it that are read again.

        Raises:
            ProgramError: what a rebalance ran into.
            GroupRefused: this consumer can do no more work.

        """
        first = self._consume(1, timeout_seconds)
        yield from first
        if first and messages_max > 1:
            yield from self._consume(messages_max - 1, 0)

    def commit_offsets(self, positions: Mapping[TopicPartition, int]) -> None:
        """Tell Kafka where we are, for tools that show lag; nothing depends on it arriving."""
        offsets = [KafkaPartition(*place, offset) for place, offset in positions.items() if place in self.places]
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def high_watermarks(self) -> dict[TopicPartition, int]:
        """Return the ends of our partitions as the last fetches reported them; -1001 where none has."""
        return {
            place: self._consumer.get_watermark_offsets(KafkaPartition(*place), cached=True)[1] for place in self.places
        }

    def seek(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Read on from these positions, on partitions that we still have, dropping what was fetched of them.

        Raises:
            PositionMoved: librdkafka is about to do something else with one of them: join anew.

        """
        for place in sorted(positions.keys() & self.places):
            try:
                self._consumer.seek(_start_at(place, positions[place]))
            except KafkaException as error:
                raise PositionMoved(f"{place[0]}/{place[1]} cannot be read again: {error.args[0].str()}") from None

    def close(self, deadline: Deadline) -> None:
        """Leave the group; where the broker does not answer within the budget, without a word.

        librdkafka waits for ever for a connection that hangs, so it does that on a thread that nobody waits for.
        """
        leaving = threading.Thread(target=self._leave_group, name="leaving", daemon=True)
        leaving.start()
        leaving.join(max(LEAVE_SECONDS, deadline.remaining_seconds))
        if leaving.is_alive():
            _log.warning("left without a word: Kafka does not answer", group=self._group_id)

    def _leave_group(self) -> None:
        try:
            self._consumer.close()
        except KafkaException as error:
            _log.warning("leaving failed", group=self._group_id, error=error.args[0].str())

    def _complain(self, error: KafkaError) -> None:
        """Hear what librdkafka says of itself; called within `poll`, before what it fetches later is handed out."""
        if error.code() in INTERRUPTED:
            self.interrupted = True
        try:
            require_able(error)
        except (ProgramError, KafkaException) as failure:
            self._failure = failure

    def _consume(self, messages_max: int, timeout_seconds: float) -> list[KafkaMessage]:
        try:
            messages = self._consumer.consume(messages_max, timeout_seconds)
        except (KafkaException, SystemError) as error:
            require_able(kafka.fatal_error(error))
            raise
        if self._failure is not None:
            raise self._failure
        return messages

    def _assign(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        given = _places(partitions)
        try:
            positions = self._start(given)
        except (ProgramError, KafkaException) as failure:  # raised again by `poll`, outside librdkafka's callback
            self._failure = failure
            positions = {}
        if not (self._incremental and self.places):  # all that we read was proven just now
            self.interrupted = False
        assign = consumer.incremental_assign if self._incremental else consumer.assign
        assign([_start_at(place, position) for place, position in sorted(positions.items())])
        self.places = (self.places if self._incremental else set()) | set(positions)
        self.joined = True
        _log.info("joined", group=self._group_id, partitions=len(self.places), starts=_written(positions))

    def _revoke(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        gone = _places(partitions)
        self.commit_offsets(self._leave(gone))
        self._drop(consumer, partitions, gone, "revoked")

    def _lost(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        gone = _places(partitions)
        self._leave(gone)
        self._drop(consumer, partitions, gone, "lost")

    def _drop(self, consumer: Consumer, partitions: list[KafkaPartition], gone: set[TopicPartition], how: str) -> None:
        self.places = self.places - gone  # a new set: another thread may be looking at the one before
        if self._incremental:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()
        _log.info(how, group=self._group_id, partitions=len(gone), left=len(self.places))


def _places(partitions: Iterable[KafkaPartition]) -> set[TopicPartition]:
    return {(partition.topic, partition.partition) for partition in partitions}


def _start_at(place: TopicPartition, position: Position) -> KafkaPartition:
    """Name a position; with the epoch, the broker is asked first whether its log still has what was read under it."""
    if position.leader_epoch is None:
        return KafkaPartition(*place, position.next_offset)
    return KafkaPartition(*place, position.next_offset, leader_epoch=position.leader_epoch)


def _written(positions: Mapping[TopicPartition, Position]) -> str:
    return " ".join(
        f"{topic}/{partition}@{position.next_offset}" for (topic, partition), position in sorted(positions.items())
    )
