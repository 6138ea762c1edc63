"""One membership of the consumer group: joining, getting and losing partitions, leaving.

Partitions start at PostgreSQL's positions. Offsets are committed to Kafka for tools that show lag, and never read back.
A revoke waits, within a budget, for the batch in flight. If the budget is too short, or the partitions are lost, the
compare-and-set of the positions keeps a batch from counting twice.
"""

import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition as KafkaPartition

from events.contract.types import TopicPartition
from events.runtime import kafka
from events.runtime.client_log import plain
from events.runtime.deadline import Deadline
from events.runtime.errors import ProgramError
from events.runtime.settings import Settings
from projector.errors import PositionMovedError
from projector.kafka_log.kafka_errors import INTERRUPTED, require_able
from projector.kafka_log.position_check import Position

OWN_PROPERTIES: Final[dict[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # a position out of range is never reset silently
    "enable.partition.eof": True,
    "queued.max.messages.kbytes": 16_384,
    "fetch.queue.backoff.ms": 20,  # with the default of 1 s, a consumer that empties its queue faster idles
    "socket.timeout.ms": 10_000,  # a connection that hangs is closed, and an offset commit does not delay shutdown
    "max.poll.interval.ms": 600_000,  # PostgreSQL may be unavailable this long before our partitions are reassigned
}
LEAVE_SECONDS: Final = 2.0  # to leave the group, even after the budget is used up
COOPERATIVE: Final = {"partition.assignment.strategy": "cooperative-sticky"}
Start = Callable[[set[TopicPartition]], Mapping[TopicPartition, Position]]
"""Takes assigned partitions, and returns where each starts."""
Leave = Callable[[set[TopicPartition]], Mapping[TopicPartition, int]]
"""Takes revoked partitions, waits for the batch in flight, and returns their positions."""

_log = structlog.get_logger()


class Membership:
    """A subscription, and the partitions that the group assigns to this consumer."""

    def __init__(self, settings: Settings, topics: list[str], *, start: Start, leave: Leave) -> None:
        self._start = start
        self._leave = leave
        self._group_id = settings.group_id
        self._servers = settings.kafka_bootstrap_servers
        self._failure: ProgramError | KafkaException | None = None
        self.partitions: set[TopicPartition] = set()
        self.joined = False
        self.polling_seconds = 0.0  # spent waiting for messages and taking them; reset by the consumer
        self.interrupted: str | None = None  # why a connection was lost; reset by the consumer, which checks the log
        name = f"projector-{socket.gethostname()}-{os.getpid()}"  # by which `projector status` shows this consumer
        own = {"group.id": settings.group_id, "client.id": name, **OWN_PROPERTIES, "error_cb": self._on_error}
        given = kafka.client_config(settings, **own)
        next_generation = given.get("group.protocol") == "consumer"
        strategy = {} if next_generation else COOPERATIVE
        self._consumer: Consumer = kafka.consumer(settings, **{**own, **strategy})
        self._incremental = (
            next_generation or "cooperative" in {**COOPERATIVE, **given}["partition.assignment.strategy"]
        )
        self._consumer.subscribe(topics, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lost)

    def poll(self, messages_max: int, *, timeout_seconds: float) -> Iterator[KafkaMessage]:
        """Wait for a first message, then yield those that are available without waiting.

        The first message is yielded before the rest is requested, because the request may trigger a rebalance. The
        caller must have buffered the message by then, so that it is dropped with its partition. Buffered after the
        rebalance, it would hide the messages before it, which are read again.

        Raises:
            ProgramError: what a rebalance failed with.
            GroupRefusedError: this consumer can do no more work.

        """
        first = self._consume(1, timeout_seconds)
        yield from first
        if first and messages_max > 1:
            yield from self._consume(messages_max - 1, 0)

    def commit_offsets(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit offsets to Kafka, for tools that show lag; nothing else depends on them."""
        offsets = [KafkaPartition(*place, offset) for place, offset in positions.items() if place in self.partitions]
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def high_watermarks(self) -> dict[TopicPartition, int]:
        """Return the ends of our partitions as of the last fetches; -1001 where there was none."""
        cached = self._consumer.get_watermark_offsets
        return {place: cached(KafkaPartition(*place), cached=True)[1] for place in self.partitions}

    def seek(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Continue from these positions on partitions that we still have, dropping what was fetched of them.

        Raises:
            PositionMovedError: librdkafka cannot seek on one of them now: rejoin.

        """
        for place in sorted(positions.keys() & self.partitions):
            try:
                self._consumer.seek(_start_at(place, positions[place]))
            except KafkaException as error:
                raise PositionMovedError(f"{place[0]}/{place[1]} cannot be read again: {error.args[0].str()}") from None

    def close(self, deadline: Deadline) -> None:
        """Leave the group; if the broker does not answer within the budget, disconnect without leaving.

        librdkafka waits forever on a connection that hangs, so this runs on a daemon thread.
        """
        leaving = threading.Thread(target=self._leave_group, name="leaving", daemon=True)
        leaving.start()
        leaving.join(max(LEAVE_SECONDS, deadline.remaining_seconds))
        if leaving.is_alive():
            _log.warning("left uncleanly", group=self._group_id, reason="Kafka does not answer")

    def _leave_group(self) -> None:
        try:
            self._consumer.close()
        except KafkaException as error:
            _log.warning("leaving failed", group=self._group_id, error=error.args[0].str())

    def _on_error(self, error: KafkaError) -> None:
        """Handle an error of the client itself; librdkafka calls this within `poll`, before messages fetched later."""
        if error.code() in INTERRUPTED:
            self.interrupted = f"Kafka at {self._servers}: {plain(error.str())}"
        try:
            require_able(error)
        except (ProgramError, KafkaException) as failure:
            self._failure = failure

    def _consume(self, messages_max: int, timeout_seconds: float) -> list[KafkaMessage]:
        began = time.perf_counter()
        try:
            messages = kafka.call(self._consumer.consume, messages_max, timeout_seconds)
        except KafkaException as error:
            require_able(error.args[0])
            raise
        self.polling_seconds += time.perf_counter() - began
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
        if not (self._incremental and self.partitions):  # the positions of every partition were checked just now
            self.interrupted = None
        assign = consumer.incremental_assign if self._incremental else consumer.assign
        assign([_start_at(place, position) for place, position in sorted(positions.items())])
        self.partitions = (self.partitions if self._incremental else set()) | set(positions)
        self.joined = True
        _log.info("joined", group=self._group_id, partitions=len(self.partitions))
        for topic, offsets in _written(positions).items():
            _log.info("start positions", topic=topic, offsets=offsets)

    def _revoke(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        revoked = _places(partitions)
        self.commit_offsets(self._leave(revoked))
        self._drop(consumer, partitions, revoked)
        _log.info("revoked", group=self._group_id, partitions=len(revoked), left=len(self.partitions))

    def _lost(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        lost = _places(partitions)
        self._leave(lost)
        self._drop(consumer, partitions, lost)
        _log.info("lost", group=self._group_id, partitions=len(lost), left=len(self.partitions))

    def _drop(self, consumer: Consumer, partitions: list[KafkaPartition], gone: set[TopicPartition]) -> None:
        self.partitions = self.partitions - gone  # a new set: another thread may be reading the old one
        if self._incremental:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()


def _places(partitions: Iterable[KafkaPartition]) -> set[TopicPartition]:
    return {(partition.topic, partition.partition) for partition in partitions}


def _start_at(place: TopicPartition, position: Position) -> KafkaPartition:
    """Return a start for librdkafka, which uses the leader epoch to have the broker check its log first."""
    if position.leader_epoch is None:
        return KafkaPartition(*place, position.next_offset)
    return KafkaPartition(*place, position.next_offset, leader_epoch=position.leader_epoch)


def _written(positions: Mapping[TopicPartition, Position]) -> dict[str, str]:
    """Write each topic's positions as `partition@offset`."""
    written = defaultdict[str, list[str]](list)
    for (topic, partition), position in sorted(positions.items()):
        written[topic].append(f"{partition}@{position.next_offset}")
    return {topic: " ".join(offsets) for topic, offsets in written.items()}
