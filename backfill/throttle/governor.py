"""Consumers come first: a run throttles itself while consumers lag or their transactions take longer, and logs why.

Every second a thread reads what the consumers store in `positions`: how far each partition is applied, and how long
their last transactions took. If Kafka is configured, it also asks the broker for the end offsets, and so knows the lag.
The baseline is how long the transactions took before the run began.

Consumers are overloaded if they are more than `LAG_MIN` messages behind, or if their transactions take half as long
again as the baseline and more than `TRANSACTION_MS_FINE`. Below both limits nothing is throttled, whatever the ratio: a
run of one chunk after another makes transactions of 25 ms take 50, and nobody is worse off. A message waits at most for
the transaction that is under way and for its own, so within the limit its balance is visible after less than a third of
a second; a consumer that falls behind nevertheless shows that in its lag.

The duty cycle is the fraction of time in which a run may work: at one half, a second of work is followed by a second of
rest. It halves on each overloaded check (minimum 10 %), else grows by a quarter. If transactions stay slow after a
while at the minimum, the run is not the cause, and their current duration becomes the baseline.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import psycopg
import structlog
from confluent_kafka import KafkaException
from psycopg import Connection
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from backfill.runs.session import plain
from backfill.runs.store import Run
from backfill.runs.tally import Tally
from events.contract.types import ENTITIES, TopicPartition, topic_of
from events.runtime import kafka
from events.runtime.errors import ProgramError
from events.runtime.settings import Settings
from events.runtime.wording import counted
from projector.database.statements import statements
from projector.deployment import cluster
from projector.kafka_log.partitions import cluster_id, describe_partitions

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

SQL: Final = statements("backfill.throttle", "governor.sql")
LOOK_SECONDS: Final = 1.0
RECENT_SECONDS: Final = 60.0  # a consumer that has applied nothing for so long is not active
AGAIN_SECONDS: Final = 60.0  # until a broker that did not answer is asked again
DUTY_CYCLE_MIN: Final = 0.1  # so that a run ends whatever the load
SLOWER: Final = 0.5
FASTER: Final = 1.25
GROWTH_MAX: Final = 1.5  # times the baseline, beyond which the consumers are overloaded
TRANSACTION_MS_FINE: Final = 150.0  # up to this long, whatever the baseline: nobody waits noticeably
BASELINE_CHECKS: Final = 10  # at the minimum, until the current duration becomes the baseline
LAG_MIN: Final = 5_000  # messages; a smaller lag is normal in a busy second

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The consumers' state: how long their transactions take (None: none is active), and the lag (None: unknown)."""

    transaction_ms: float | None
    lag: int | None


def overload_reason(now: Observation, baseline: Observation) -> str:
    """Say why the consumers are overloaded, compared with the baseline; empty where they are not."""
    if now.transaction_ms is None:  # no consumer is active
        return ""
    if now.lag is not None and now.lag > LAG_MIN:
        return f"consumers are {counted(now.lag, 'message')} behind"
    if now.transaction_ms <= max(TRANSACTION_MS_FINE, (baseline.transaction_ms or 0.0) * GROWTH_MAX):
        return ""
    before = "none" if baseline.transaction_ms is None else f"{baseline.transaction_ms:,.0f} ms"
    return f"consumers' transactions take {now.transaction_ms:,.0f} ms, {before} before the run"


def next_duty_cycle(duty_cycle: float, why: str) -> float:
    """Choose the duty cycle up to the next check."""
    return max(DUTY_CYCLE_MIN, duty_cycle * SLOWER) if why else min(1.0, duty_cycle * FASTER)


class Governor:
    """A brake that all workers of a process share."""

    reason = "consumers"

    def __init__(self, baseline: Observation) -> None:
        self.baseline = baseline
        self.duty_cycle = 1.0
        self._checks_at_minimum = 0

    def __call__(self, _run: Run, _share: Tally, took: float) -> float:
        """Return how long to rest so that work takes no more than the duty cycle allows."""
        return took * (1 / self.duty_cycle - 1)

    def update(self, now: Observation) -> None:
        """Adjust the duty cycle to an observation; log when throttling increases, and when it ends."""
        why = overload_reason(now, self.baseline)
        before, self.duty_cycle = self.duty_cycle, next_duty_cycle(self.duty_cycle, why)
        self._checks_at_minimum = self._checks_at_minimum + 1 if self.duty_cycle == before == DUTY_CYCLE_MIN else 0
        if self._checks_at_minimum >= BASELINE_CHECKS:
            self.baseline = replace(self.baseline, transaction_ms=now.transaction_ms)
        if self.duty_cycle < before:
            _log.info("throttling", reason=why, duty_cycle=f"{self.duty_cycle:.0%}")
        elif before < self.duty_cycle == 1.0:
            _log.info("throttling ended", duty_cycle=f"{self.duty_cycle:.0%}")


@contextmanager
def governing(settings: Settings, engine: Engine) -> Iterator[Governor]:
    """Observe the consumers on a thread while the block lasts."""
    ended = Event()
    with plain(engine) as connection:
        governor = Governor(Observation(transaction_ms=transaction_ms(connection), lag=None))
    thread = Thread(target=_watch, args=(settings, engine, governor, ended), name="governor", daemon=True)
    thread.start()
    try:
        yield governor
    finally:
        ended.set()
        thread.join(LOOK_SECONDS)  # and no longer: it may be waiting for a broker that does not answer


def _watch(settings: Settings, engine: Engine, governor: Governor, ended: Event) -> None:
    """Observe every second. Without a connection a run does no work either, so it cannot overload consumers."""
    broker = Broker(settings)
    while not ended.wait(LOOK_SECONDS):
        with suppress(psycopg.Error, DBAPIError, ProgramError), plain(engine) as connection:
            while not ended.wait(LOOK_SECONDS):
                governor.update(Observation(transaction_ms=transaction_ms(connection), lag=broker.lag(connection)))


def transaction_ms(connection: Connection[Any]) -> float | None:
    """Read how long the latest transactions of active consumers took."""
    row = connection.execute(SQL["transaction_ms"], {"recent_seconds": RECENT_SECONDS}).fetchone()
    return row[0] if row else None


class Broker:
    """Kafka, asked for end offsets; one that does not answer is asked again after a while."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = [topic_of(entity, settings.topic_prefix) for entity in ENTITIES]
        self._again_at = 0.0
        self._admin: AdminClient | None = None

    def lag(self, connection: Connection[Any]) -> int | None:
        """Count the messages that are in Kafka and not yet applied; None where the broker cannot be asked."""
        if not self._settings.kafka_bootstrap_servers or monotonic() < self._again_at:
            return None
        try:
            self._admin = self._admin or self._compared(connection)
            logs = describe_partitions(self._admin, self._topics)
        except (ProgramError, KafkaException) as error:
            _log.warning("lag unknown", reason=str(error))
            self._again_at = monotonic() + AGAIN_SECONDS
            return None
        stored = connection.execute(SQL["positions"], {"group_id": self._settings.group_id})
        applied: dict[TopicPartition, int] = {(topic, partition): offset for topic, partition, offset in stored}
        return sum(max(0, log.high - applied.get(place, log.low)) for place, log in logs.items())

    def _compared(self, connection: Connection[Any]) -> "AdminClient":
        """Make a client; refuse a broker of another cluster than the deployment's: its offsets would mean nothing."""
        client = kafka.admin(self._settings)
        cluster.compare(connection, self._settings, cluster_id(client))
        return client
