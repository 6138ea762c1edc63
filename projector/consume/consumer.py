"""The continuously running consumer.

    1 poll     messages from Kafka, up to a batch's limit in events and bytes
    2 decode   bytes into events and refusals, while the writer applies the batch before
    3 apply    the whole buffer as one transaction, as soon as the writer is free
    4 commit   the positions to Kafka, for tools that show lag
    5 observe  one log line

Between two batches, and when there is none, it moves the clock of assignments that are due (`projector.consume.clock`).

PostgreSQL's positions are authoritative: partitions start there, and a batch moves them in its own transaction. If that
finds that another consumer has moved a position, everything that was read is dropped, and `projector.consume.run` makes
a consumer that rejoins.
"""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Final

import structlog
from sqlalchemy import Engine

from events.contract.decode import Decoder
from events.contract.types import TopicPartition
from events.runtime.deadline import Deadline
from events.runtime.errors import ServiceTemporarilyUnavailableError
from events.runtime.settings import Settings
from events.runtime.stop import Stop
from projector.consume.applied import NOTHING
from projector.consume.batch import Item
from projector.consume.buffer import Buffer
from projector.consume.circuit_breaker import Breaker
from projector.consume.clock_schedule import ClockSchedule
from projector.consume.consumer_metrics import ConsumerMetrics
from projector.consume.group_membership import Membership
from projector.consume.progress import Progress
from projector.consume.retry import retry_until_available
from projector.consume.start_positions import StartPositions
from projector.consume.writer import InFlightBatch, Writer
from projector.database.engines import transaction
from projector.kafka_log.broker import Broker
from projector.kafka_log.continuity import Continuity
from projector.kafka_log.position_check import Position
from projector.kafka_log.receive import receive
from projector.positions import store as positions

IDLE_SECONDS: Final = 0.5  # how long an idle poll waits, and so how late a signal may be noticed
BUSY_SECONDS: Final = 0.005  # the same while a batch is being applied, so that its end is noticed soon
POLL_MESSAGES_MAX: Final = 2_000  # taken from librdkafka in one call; bounds how far the byte limit is exceeded

_log = structlog.get_logger()


class Consumer:
    """The loop and its state: a buffer that is being filled, and a batch that is being applied."""

    def __init__(
        self, settings: Settings, engine: Engine, stop: Stop, broker: Broker, metrics: ConsumerMetrics
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._engine = engine
        self._metrics = metrics
        self._decode = Decoder(settings.currency, settings.topic_prefix)
        self._buffer = Buffer()
        self._breaker = Breaker(run_max=settings.refused_run_max, share_max=settings.refused_share_max)
        self._writer = Writer(engine, settings, metrics.observers)
        self._clock = ClockSchedule(self._writer)
        self._in_flight: InFlightBatch | None = None
        self._progress = Progress()
        self._forgotten: Future[None] | None = None
        self.total = NOTHING
        self._budget: Deadline | None = None
        self._starts = StartPositions(settings, engine, broker)
        self._continuity = Continuity(
            self._starts.topic_ids, lambda: self._starts.proven(self._membership.partitions).starts
        )
        self._membership = Membership(settings, list(broker.topics), start=self._start, leave=self._leave)
        self._decoding_seconds = 0.0
        metrics.pending = self._pending

    def consume(self, ends: Mapping[TopicPartition, int] | None) -> None:
        """Repeat the steps until a stop is requested, or until our group has applied every partition up to `ends`."""
        while not self._stop.requested and not (ends and self._caught_up(ends)):
            self._observe()
            self._poll_and_decode()
            self._finish()
            self._check_log()
            self._apply()
            self._forget_stops()
        if self._stop.requested:
            self._metrics.heartbeat.manager.stopping()
        if self._continuity.doubted:
            self._buffer.drop()
        self._budget = self._deadline()
        self._writer.drain()
        try:
            self._drain(self._budget, settle=ends is not None and not self._stop.requested)
        except ServiceTemporarilyUnavailableError as error:
            _log.warning("not drained", reason=str(error))  # what was not applied is read again at the next start

    def close(self) -> None:
        """Leave the group and disconnect, within what is left of the budget."""
        self._budget = self._deadline()
        self._metrics.left()
        self._membership.close(self._budget)
        self._writer.close(self._budget)

    def _deadline(self) -> Deadline:
        """Return the budget of the shutdown, or a new one for a revoke before it."""
        return self._budget or Deadline.after(self._settings.shutdown_seconds)

    def _poll_and_decode(self) -> None:
        """Do steps 1 and 2."""
        room = self._settings.batch_events_max - len(self._buffer.items)
        if room <= 0 or self._buffer.bytes >= self._settings.batch_bytes_max:
            if self._in_flight is not None:
                wait_for([self._in_flight.future], IDLE_SECONDS)
            else:
                self._clock.wait(IDLE_SECONDS)
            return
        wait = BUSY_SECONDS if self._in_flight or self._buffer.has_work() else IDLE_SECONDS
        began, polled = time.perf_counter(), self._membership.polling_seconds
        for message in self._membership.poll(min(room, POLL_MESSAGES_MAX), timeout_seconds=wait):
            if message.error() is None:
                self._buffer.add(received := receive(message), self._decode(received))
            elif self._starts.at_end(message, self._membership.partitions):
                self._buffer.reach((str(message.topic()), message.partition() or 0), message.offset() or 0)
        self._decoding_seconds += time.perf_counter() - began - (self._membership.polling_seconds - polled)

    def _check_log(self) -> None:
        """Check that the log is still the one that was read; while it is unproven, drop what is read of it."""
        if (reason := self._membership.interrupted) is not None:
            self._membership.interrupted = None
            self._continuity.doubt(reason)
        if not self._continuity.doubted:
            self._continuity.check_topic_ids()
            return
        self._buffer.drop()
        if self._in_flight is None and (proven := self._continuity.proven()) is not None:
            if self._membership.partitions <= proven.keys():
                self._membership.seek(proven)
            else:  # more partitions were assigned meanwhile, and what was read of them was dropped as well
                self._continuity.doubt("more partitions were assigned")

    def _apply(self, wait_seconds: float = 0.0) -> None:
        """Begin step 3 if the writer is free."""
        if self._in_flight is not None or not self._clock.look(wait_seconds):
            return
        if self._buffer.has_work() and not self._continuity.doubted:
            batch = self._buffer.take()
            self._breaker.observe(item.refusal and item.refusal.reason for item in batch.items)
            for observer in self._metrics.observers:
                observer.read(polling_seconds=self._membership.polling_seconds, decoding_seconds=self._decoding_seconds)
            self._membership.polling_seconds = self._decoding_seconds = 0.0
            self._in_flight = InFlightBatch(batch=batch, future=self._writer.submit(batch), since=time.monotonic())

    def _finish(self) -> None:
        """Do steps 4 and 5 if the batch in flight was applied; raise its error if it failed."""
        if self._in_flight is None or not self._in_flight.future.done():
            return
        done, self._in_flight = self._in_flight, None
        applied = done.future.result()
        self.total += applied
        self._progress.advance(done.batch.end_offsets)
        self._clock.applied(done.batch)
        self._membership.commit_offsets(done.batch.end_offsets)
        self._breaker.observe_late(applied.refused - sum(item.refusal is not None for item in done.batch.items))
        seconds = time.monotonic() - done.since
        _log.info(
            "batch",
            events=applied.events, applied=applied.applied, stale=applied.stale, refused=applied.refused,
            conflicts=applied.conflicts, ms=round(seconds * 1000, 1),
            lag=self._progress.lag(self._membership.high_watermarks()),
        )  # fmt: skip
        if named := applied.first_conflicts:
            _log.warning("conflicts", at="; ".join(named), more=applied.conflicts - len(named))

    def _observe(self) -> None:
        """Say that the loop comes round, and where the partitions stand."""
        self._metrics.heartbeat.beat()
        self._metrics.joined = self._membership.joined
        if self._metrics.joined:
            self._metrics.heartbeat.manager.ready()
        if self._metrics.is_look_due:
            self._metrics.look(self._progress.applied, self._membership.high_watermarks())

    def _pending(self) -> Iterable[Item]:
        """Return what was read and is not applied; another thread asks."""
        in_flight = self._in_flight
        return [*(in_flight.batch.items if in_flight else ()), *self._buffer.items]

    def _forget_stops(self) -> None:
        """Let the database forget why consumers stopped, once this one has applied a batch or has nothing to apply."""
        if self._forgotten is None and self._membership.joined:
            ends = self._membership.high_watermarks()
            if self.total.events > self.total.refused or self._progress.is_all(ends):
                self._forgotten = self._writer.forget_stops()

    def _drain(self, deadline: Deadline, *, settle: bool) -> None:
        """Apply what was read, and what is due then, within the budget; the rest is read again at the next start."""
        while (self._in_flight or self._buffer.has_work()) and deadline.remaining_seconds:
            self._apply(deadline.remaining_seconds)
            if self._in_flight:
                wait_for([self._in_flight.future], deadline.remaining_seconds)
            self._finish()
        if settle and self._in_flight is None:
            self._clock.settle(deadline.remaining_seconds)
            wait_for([self._forgotten or self._writer.forget_stops()], deadline.remaining_seconds)

    def _start(self, assigned: set[TopicPartition]) -> Mapping[TopicPartition, Position]:
        """Return where assigned partitions start; nothing if a stop is requested meanwhile."""
        self._metrics.rebalances += 1
        proven = retry_until_available(
            lambda: self._starts.proven(assigned), stop=self._stop, heartbeat=self._metrics.heartbeat
        )
        if proven is None:
            return {}
        starts = proven.starts
        offsets = {place: position.next_offset for place, position in starts.items()}
        self._breaker.restore(proven.history)
        self._buffer.assign(offsets, {place[0]: position.topic_id for place, position in starts.items()})
        self._continuity.expect(proven.topic_ids)
        self._progress.advance(offsets)
        return starts

    def _leave(self, revoked: set[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Wait for the batch in flight, drop what was read of revoked partitions, and return their positions."""
        self._metrics.rebalances += 1
        if self._in_flight is not None:
            wait_for([self._in_flight.future], self._deadline().remaining_seconds)
        self._buffer.revoke(revoked)
        return self._progress.leave(revoked)

    def _caught_up(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Compare our own partitions with the ends; if they have reached them, those of the other members as well."""
        ours = self._membership.partitions
        if not self._membership.joined or not self._progress.reached(ends, ours):
            return False
        others = ends.keys() - ours  # all of them, before a rebalance assigns any to us
        return not others or self._others_reached({place: ends[place] for place in others})

    def _others_reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        with transaction(self._engine) as connection:
            stored = positions.read(connection, self._settings.group_id)
        return all(place in stored and stored[place].next_offset >= end for place, end in ends.items())
