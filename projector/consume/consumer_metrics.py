"""What one `projector run` counts about itself; it lives as long as the process, over every consumer that it makes.

Nothing is done for each event: a batch is counted after its commit, on the writer's thread, which mostly waits; where
the partitions stand is copied by the loop once a second; ages are computed by whoever asks. The thread that answers a
scrape reads numbers and copies of containers, and never calls a client of Kafka or PostgreSQL.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from threading import Lock
from typing import TYPE_CHECKING, Final

from events.contract.types import Message, TopicPartition, topic_of
from events.runtime.settings import Settings
from projector.consume.applied import Applied
from projector.consume.batch import Batch, Item
from projector.consume.observer import BatchObserver, Laps
from projector.metrics import probes
from projector.metrics.broker_watch import BrokerWatch
from projector.metrics.catalogue import Source
from projector.metrics.heartbeat import Heartbeat
from projector.metrics.histogram import Histogram
from projector.metrics.probes import Answer

if TYPE_CHECKING:  # it loads what only a scrape needs
    from projector.metrics.families import Families

LOOK_SECONDS: Final = 1.0  # between two copies of where the partitions stand
STAGES: Final = ("poll", "decode", "reduce", "positions", "copy", "merge", "commit")
"""Of a batch: waiting for messages and fetching them; decoding; reducing to one row an entity; moving the positions,
with dead letters; sending rows; merging them; committing."""
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DELAYS: Final = (*SECONDS[2:], 300.0, 1800.0, 7200.0, 43200.0)
EVENTS: Final = (1, 5, 20, 100, 500, 2_000, 5_000, 10_000, 20_000, 50_000, 200_000)
BYTES: Final = (1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28, 1 << 30)

_TOPIC, _TIMESTAMP, _VALUE = (
    itemgetter(Message._fields.index(name)) for name in ("topic", "timestamp_ms", "value")
)  # faster by place than by name


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a consumer's partitions stand, copied at one moment.

    Args:
        applied: the next offset to apply of each partition.
        ends: how far the logs reach as of the last fetches; negative where that is unknown.
        behind_since: since when a partition has had messages that are not applied, in Unix time.

    """

    applied: Mapping[TopicPartition, int] = field(default_factory=dict)
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)
    behind_since: Mapping[TopicPartition, float] = field(default_factory=dict)


class ConsumerMetrics:
    """Counts, and where the current consumer stands."""

    def __init__(self, settings: Settings, watch: BrokerWatch, *others: BatchObserver) -> None:
        self._settings = settings
        self._watch = watch
        self._lock = Lock()
        self._events = Counter[tuple[str, str, str]]()
        self._conflicts = 0
        self._sizes, self._bytes, self._delays = Histogram(EVENTS), Histogram(BYTES), Histogram(DELAYS)
        self._stages = {stage: Histogram(SECONDS) for stage in STAGES}
        self._retries = Counter[str]()
        self._standing = Standing()
        self._look_due = 0.0
        self.heartbeat = Heartbeat()
        self.position_conflicts = 0
        self.rebalances = 0
        self.breaker_open = False
        self.joined = False
        self.pending: Callable[[], Iterable[Item]] = tuple
        """What has been read and is not applied, of the current consumer."""
        self.observers: tuple[BatchObserver, ...] = ((self,) if settings.metrics_address else ()) + others
        """Who is told of each batch: these counts, where they are served, and others beside them."""

    def committed(self, batch: Batch, applied: Applied, laps: Laps) -> None:
        """Count a batch that was committed just now."""
        now_ms = time.time() * 1000
        messages = [item.message for item in batch.items]
        stamps = sorted(map(_TIMESTAMP, messages))  # -1 where the broker has none
        del stamps[: bisect_left(stamps, 0)]
        outcomes = self._outcomes(batch, applied, messages)
        with self._lock:
            self._events.update(outcomes)
            self._conflicts += applied.conflicts
            self._sizes.observe(len(messages))
            self._bytes.observe(sum(map(len, filter(None, map(_VALUE, messages)))))
            self._delays.observe_ages(stamps, now_ms)
            for stage, seconds in laps.seconds.items():
                self._stages[stage].observe(seconds)

    def read(self, *, polling_seconds: float, decoding_seconds: float) -> None:
        """Count the stages that a batch passed before it was handed to the writer."""
        with self._lock:
            self._stages["poll"].observe(polling_seconds)
            self._stages["decode"].observe(decoding_seconds)

    def retried(self, sqlstate: str | None) -> None:
        """Count a try of a batch that failed and is repeated."""
        with self._lock:
            self._retries[sqlstate or ""] += 1

    @property
    def is_look_due(self) -> bool:
        """Tell whether it is time for `look`."""
        return time.monotonic() >= self._look_due

    def look(self, applied: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
        """Copy where the partitions stand."""
        self._look_due = time.monotonic() + LOOK_SECONDS
        now, before = time.time(), self._standing.behind_since
        behind = {place: before.get(place, now) for place, at in applied.items() if ends.get(place, 0) > at}
        self._standing = Standing(applied=dict(applied), ends=dict(ends), behind_since=behind)

    def left(self) -> None:
        """Forget the consumer: it has closed."""
        self.joined, self._standing, self.pending, self._look_due = False, Standing(), tuple, 0.0

    def alive(self) -> Answer:
        """Tell whether the loop comes round."""
        limit = probes.SILENT_SECONDS + self._settings.shutdown_seconds  # a revoke may wait so long for a batch
        return probes.alive(self.heartbeat.age_seconds, limit)

    def ready(self) -> Answer:
        """Tell whether this consumer works: it has checked the schema, joined the group, and is not about to stop."""
        return probes.ready(joined=self.joined, breaker_closed=not self.breaker_open)

    def collect(self, families: "Families") -> None:
        """Add what a scrape shows."""
        families.add_build_info(Source.CONSUMER.value, self._settings)
        self._add_counts(families)
        self._add_positions(families)
        families.add("projector_breaker_open", self.breaker_open)
        families.add("projector_loop_heartbeat_timestamp_seconds", self.heartbeat.at)
        families.add("projector_broker_offsets_timestamp_seconds", self._watch.logs.asked_at)

    def _outcomes(self, batch: Batch, applied: Applied, messages: Sequence[Message]) -> Counter[tuple[str, str, str]]:
        """Count by topic, outcome and reason."""
        refused = Counter[tuple[str, str, str]]()
        if applied.refused:
            refused.update((item.message.topic, "refused", item.refusal.reason) for item in batch.items if item.refusal)
        new = {topic_of(entity, self._settings.topic_prefix): count for entity, count in applied.by_entity.items()}
        read = _count_by_topic(batch, messages)
        for (topic, *_), count in refused.items():
            read[topic] -= count
        found = Counter({(topic, "applied", ""): count for topic, count in new.items()})
        found.update({(topic, "stale", ""): count - new.get(topic, 0) for topic, count in read.items()})
        return found + refused

    def _add_counts(self, families: "Families") -> None:
        with self._lock:
            for (topic, outcome, reason), count in self._events.items():
                families.add("projector_events_total", count, topic=topic, outcome=outcome, reason=reason)
            families.add("projector_conflicts_total", self._conflicts)
            families.add_histogram("projector_batch_events", self._sizes)
            families.add_histogram("projector_batch_bytes", self._bytes)
            families.add_histogram("projector_delay_seconds", self._delays)
            for stage, histogram in self._stages.items():
                families.add_histogram("projector_stage_seconds", histogram, stage=stage)
            for sqlstate, count in self._retries.items():
                families.add("projector_transaction_retries_total", count, sqlstate=sqlstate)
        families.add("projector_position_conflicts_total", self.position_conflicts)
        families.add("projector_rebalances_total", self.rebalances)

    def _add_positions(self, families: "Families") -> None:
        standing, logs, now = self._standing, self._watch.logs, time.time()
        oldest = first_timestamps(self.pending(), standing.applied)
        ages = [0.0]
        for place, offset in standing.applied.items():
            log = logs.partitions.get(place)
            lag = max(standing.ends.get(place, 0), log.high if log else 0, offset) - offset
            age = 0.0
            if place in oldest:
                age = max(0.0, now - oldest[place])
            elif lag:
                age = now - standing.behind_since.get(place, now)
            ages.append(age)
            families.add_position(place, offset, lag=lag, age=age, headroom=logs.headroom(place, offset, age))
        families.add("projector_freshness_seconds", max(ages))
        families.add("projector_partitions_assigned", len(standing.applied))


def first_timestamps(items: Iterable[Item], places: Collection[TopicPartition]) -> dict[TopicPartition, float]:
    """Return the broker's timestamp of the first message of each partition, in Unix time."""
    found: dict[TopicPartition, float] = {}
    for message, *_ in items:
        place = (message.topic, message.partition)
        if place not in found and place in places and message.timestamp_ms >= 0:
            found[place] = message.timestamp_ms / 1000
    return found


def _count_by_topic(batch: Batch, messages: Sequence[Message]) -> Counter[str]:
    """Count a batch's messages by topic.

    Offsets of a partition are distinct, so if there are as many messages as offsets from start to end, each offset is a
    message, and nothing has to be looked at. Otherwise some belong to transaction markers.
    """
    spans = Counter[str]()
    for place, end in batch.end_offsets.items():
        spans[place[0]] += end - batch.start_offsets[place]
    return spans if spans.total() == len(messages) else Counter(map(_TOPIC, messages))
