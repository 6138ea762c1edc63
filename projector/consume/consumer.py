"""The continuously running consumer.

    1 poll     what Kafka has, up to the intake's cap in events and bytes
    2 decode   bytes into events and refusals, while the writer merges the batch before
    3 apply    the whole intake as one transaction, as soon as the writer is free
    4 commit   the positions to Kafka, as a hint
    5 observe  one log line

PostgreSQL's positions are the truth: partitions start there, and a batch moves them in its own transaction. Where that
move finds that another consumer was here, everything read is dropped and the group is joined anew.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Engine

from events.contract.decode import Decoder
from events.contract.types import TopicPartition
from events.runtime import kafka
from events.runtime.deadline import Deadline
from events.runtime.errors import ServiceTemporarilyUnavailable
from events.runtime.settings import Settings
from events.runtime.stop import Stop
from projector.consume import start_positions
from projector.consume.batch import Batch
from projector.consume.buffer import Buffer
from projector.consume.circuit_breaker import Breaker
from projector.consume.group_membership import Membership
from projector.consume.merge import Applied
from projector.consume.writer import Writer
from projector.database import failures
from projector.database.retry import retry_until_available
from projector.errors import PositionMoved
from projector.kafka_log.broker import Broker
from projector.kafka_log.continuity import Continuity
from projector.kafka_log.receive import receive
from projector.positions import store as positions
from projector.positions.store import Position

IDLE_SECONDS: Final = 0.5  # how long an idle poll waits, and so how late a signal may be noticed
BUSY_SECONDS: Final = 0.005  # the same while a batch is being merged, whose end is to be noticed soon
SLICE_EVENTS: Final = 2_000  # messages taken from librdkafka at once; bounds what overshoots the byte cap

NOTHING: Final = Applied(events=0, applied=0, refused=0, conflicts=0)

_log = structlog.get_logger()


def run(settings: Settings, engine: Engine, stop: Stop, *, until_caught_up: bool) -> Applied:
    """Consume until asked to stop or, if so wished, until the ends that the topics have now.

    A service that is away is waited for, except where the ends of now are wished for.

    Returns:
        What was applied, in all.

    Raises:
        PositionImpossible: a stored position cannot be served.
        GroupRefused, TooManyRefused: the group will not have us; most of what is read is refused.
        StateError: the schema or a topic does not exist, or a topic is compacted.
        SettingError: a setting is not what this deployment was set up with.
        ServiceUnavailable: PostgreSQL or the broker refuses us, or cannot be reached and was not to be waited for.
        WorkFailed: PostgreSQL refuses a batch for a reason that lies in no event.

    """
    broker = Broker(settings)

    def answered() -> dict[TopicPartition, positions.Log]:
        return start_positions.ready(settings, engine, broker)

    logs = answered() if until_caught_up else retry_until_available(answered, stop=stop)
    if logs is None:
        return NOTHING
    total = NOTHING
    with failures.translate_database_errors(settings), kafka.translate_kafka_errors(settings):
        while not stop.requested:
            consumer = Consumer(settings, engine, stop, broker)
            try:
                consumer.consume({place: log.high for place, log in logs.items()} if until_caught_up else None)
            except PositionMoved as moved:
                _log.warning("batch dropped, joining anew", reason=str(moved))
            else:
                break
            finally:
                consumer.close()
                total += consumer.total
    return total


@dataclass(frozen=True, kw_only=True)
class InFlightBatch:
    """A batch in the writer's hands."""

    batch: Batch
    future: Future[Applied]
    since: float


class Consumer:
    """The loop, and what it holds between two turns: an intake being filled and a batch being written."""

    def __init__(self, settings: Settings, engine: Engine, stop: Stop, broker: Broker) -> None:
        self._settings = settings
        self._stop = stop
        self._engine = engine
        self._decode = Decoder(settings.currency, settings.topic_prefix)
        self._buffer = Buffer()
        self._breaker = Breaker(run_max=settings.refused_run_max, share_max=settings.refused_share_max)
        self._writer = Writer(engine, settings)
        self._in_flight: InFlightBatch | None = None
        self._applied: dict[TopicPartition, int] = {}
        self.total = NOTHING
        self._budget: Deadline | None = None
        self._starts = start_positions.Starts(settings, engine, broker)
        self._continuity = Continuity(self._starts.topic_ids, lambda: self._starts.proven(self._membership.places)[0])
        self._membership = Membership(settings, list(broker.topics), start=self._start, leave=self._leave)

    def consume(self, ends: Mapping[TopicPartition, int] | None) -> None:
        """Turn until asked to stop, or until our group has applied these ends on every partition."""
        while not self._stop.requested and not (ends and self._caught_up(ends)):
            self._read()
            self._settle()
            self._prove()
            self._submit()
        if self._continuity.doubted:
            self._buffer.drop()
        self._budget = self._deadline()
        self._writer.drain()
        try:
            self._drain(self._budget)
        except ServiceTemporarilyUnavailable as away:
            _log.warning("not drained, to be read again", reason=str(away))

    def close(self) -> None:
        """Leave the group and disconnect, within what is left of the budget."""
        self._budget = self._deadline()
        self._membership.close(self._budget)
        self._writer.close(self._budget)

    def _deadline(self) -> Deadline:
        """Return the budget that is being spent, or a new one for a revoke in the middle of work."""
        return self._budget or Deadline.after(self._settings.shutdown_seconds)

    def _read(self) -> None:
        """Take steps 1 and 2."""
        room = self._settings.batch_events_max - len(self._buffer.items)
        if room <= 0 or self._buffer.bytes >= self._settings.batch_bytes_max:
            if self._in_flight is not None:
                wait_for([self._in_flight.future], IDLE_SECONDS)
            return
        wait = BUSY_SECONDS if self._in_flight or self._buffer.has_work() else IDLE_SECONDS
        for message in self._membership.poll(min(room, SLICE_EVENTS), timeout_seconds=wait):
            if message.error() is None:
                self._buffer.add(received := receive(message), self._decode(received))
            elif self._starts.at_end(message, self._membership.places):
                self._buffer.reach((str(message.topic()), message.partition() or 0), message.offset() or 0)

    def _prove(self) -> None:
        """Look whether the log is still the one that was read; while that is in doubt, drop what is read of it."""
        if self._membership.interrupted:
            self._membership.interrupted = False
            self._continuity.doubt()
        if not self._continuity.doubted:
            self._continuity.look()
            return
        self._buffer.drop()
        if self._in_flight is None and (found := self._continuity.proven()) is not None:
            if self._membership.places <= found.keys():
                self._membership.seek(found)
            else:  # some were given to us meanwhile, and what was read of them was dropped as well
                self._continuity.doubt()

    def _submit(self) -> None:
        """Take step 3."""
        if self._in_flight is None and self._buffer.has_work() and not self._continuity.doubted:
            batch = self._buffer.take()
            self._breaker.observe(item.refusal and item.refusal.reason for item in batch.items)
            self._in_flight = InFlightBatch(batch=batch, future=self._writer.submit(batch), since=time.monotonic())

    def _settle(self) -> None:
        """Take steps 4 and 5, where a batch has been written; raise what it failed of."""
        if self._in_flight is None or not self._in_flight.future.done():
            return
        in_flight, self._in_flight = self._in_flight, None
        applied = in_flight.future.result()
        self.total += applied
        self._applied.update(in_flight.batch.end_offsets)
        self._membership.commit_offsets(in_flight.batch.end_offsets)
        self._breaker.observe_late(applied.refused - sum(item.refusal is not None for item in in_flight.batch.items))
        seconds = time.monotonic() - in_flight.since
        _log.info(
            "batch",
            events=applied.events, applied=applied.applied, stale=applied.stale, refused=applied.refused,
            conflicts=applied.conflicts, ms=round(seconds * 1000, 1), lag=self._lag(),
        )  # fmt: skip

    def _drain(self, deadline: Deadline) -> None:
        """Apply what was read, within the budget; what does not fit is read again next time."""
        while (self._in_flight or self._buffer.has_work()) and deadline.remaining_seconds:
            self._submit()
            if self._in_flight:
                wait_for([self._in_flight.future], deadline.remaining_seconds)
            self._settle()

    def _start(self, given: set[TopicPartition]) -> Mapping[TopicPartition, Position]:
        """Look up where to start on partitions that we were given; on none, where we are asked to stop meanwhile."""
        answer = retry_until_available(lambda: self._starts.proven(given), stop=self._stop)
        if answer is None:
            return {}
        found, before = answer
        starts = {place: position.next_offset for place, position in found.items()}
        self._breaker.restore(before)
        self._buffer.assign(starts, {place[0]: position.topic_id for place, position in found.items()})
        self._continuity.assign(found)
        self._applied.update(starts)
        return found

    def _leave(self, taken: set[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Let the batch in flight end, and forget what was read of partitions that are taken from us."""
        if self._in_flight is not None:
            wait_for([self._in_flight.future], self._deadline().remaining_seconds)
        self._buffer.revoke(taken)
        self._continuity.revoke(taken)
        return {place: self._applied.pop(place) for place in taken if place in self._applied}

    def _caught_up(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Compare our own partitions with the ends, and where those are reached, the other members' as well."""
        ours = self._membership.places
        if not self._membership.joined or any(self._applied.get(place, 0) < ends.get(place, 0) for place in ours):
            return False
        elsewhere = ends.keys() - ours  # all of them, while a rebalance has yet to give us any
        return not elsewhere or self._others_reached({place: ends[place] for place in elsewhere})

    def _others_reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        with self._engine.connect() as connection:
            stored = positions.read(connection, self._settings.group_id)
        return all(place in stored and stored[place].next_offset >= end for place, end in ends.items())

    def _lag(self) -> int:
        ends = self._membership.high_watermarks()
        return sum(max(0, ends[place] - self._applied.get(place, 0)) for place in ends)
