"""The consumers come first: a run gives way when their lag or their transactions' time grows, and says why.

Every second a thread of its own looks at what the consumers leave in `positions`: how far each partition is applied,
and how long their last transaction took. Where Kafka is known it also asks for the ends, and so for the lag. What the
transactions took before the run began is what they need when left alone.

The run's part of the time is halved at each look that finds the consumers pressed, down to a tenth, and grows by a
quarter at each that doesn't. A run that works for a second and has a part of one half rests for another second. What
the transactions take after a while at a tenth is not the run's doing: that is then what they need when left alone.
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
from projector.database.statements import statements
from projector.deployment import cluster
from projector.kafka_log.partitions import cluster_id, describe_partitions

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

SQL: Final = statements("backfill.throttle", "governor.sql")
LOOK_SECONDS: Final = 1.0
RECENT_SECONDS: Final = 60.0  # a consumer that has applied nothing for so long is not at work
AGAIN_SECONDS: Final = 60.0  # until a broker that did not answer is asked again
DUTY_CYCLE_MIN: Final = 0.1  # of the time, so that a run ends whatever the load
SLOWER: Final = 0.5
FASTER: Final = 1.25
GROWTH_MAX: Final = 1.5  # of a transaction's time beyond which the consumers are pressed
TRANSACTION_MS_MIN: Final = 20.0  # what a small transaction may take before its growth says anything
LEARN_LOOKS: Final = 10  # at the smallest part, until what is seen counts as usual
LAG_MIN: Final = 5_000  # messages; less is on its way in any busy second

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the consumers need: their transactions' time, None where none is at work, and lag, None if not known."""

    transaction_ms: float | None
    lag: int | None


def overload_reason(now: Observation, alone: Observation) -> str:
    """Say why the consumers are pressed; nothing where they are not."""
    if now.transaction_ms is None:  # none is at work
        return ""
    if now.lag is not None and now.lag > LAG_MIN:
        return f"consumers are {now.lag:,} messages behind"
    usual = max(alone.transaction_ms or 0.0, TRANSACTION_MS_MIN)
    if now.transaction_ms > usual * GROWTH_MAX:
        return f"consumers' transactions take {now.transaction_ms:,.0f} ms, {usual:,.0f} ms when left alone"
    return ""


def next_duty_cycle(duty_cycle: float, why: str) -> float:
    """Choose the run's part of the time that follows."""
    return max(DUTY_CYCLE_MIN, duty_cycle * SLOWER) if why else min(1.0, duty_cycle * FASTER)


class Governor:
    """A brake that all workers of a process share."""

    def __init__(self, alone: Observation) -> None:
        self.alone = alone
        self.duty_cycle = 1.0
        self._looks_at_least = 0

    def __call__(self, _run: Run, _share: Tally, took: float) -> float:
        """Rest so long that work is no more than its part of the time."""
        return took * (1 / self.duty_cycle - 1)

    def update(self, now: Observation) -> None:
        """Learn how the consumers are, and say so where that changes a run's pace."""
        why = overload_reason(now, self.alone)
        before, self.duty_cycle = self.duty_cycle, next_duty_cycle(self.duty_cycle, why)
        self._looks_at_least = self._looks_at_least + 1 if self.duty_cycle == before == DUTY_CYCLE_MIN else 0
        if self._looks_at_least >= LEARN_LOOKS:
            self.alone = replace(self.alone, transaction_ms=now.transaction_ms)
        if self.duty_cycle < before:
            _log.info("giving way", because=why, duty_cycle=f"{self.duty_cycle:.0%}")
        elif before < self.duty_cycle == 1.0:
            _log.info("giving way no longer", duty_cycle=f"{self.duty_cycle:.0%}")


@contextmanager
def governing(settings: Settings, engine: Engine) -> Iterator[Governor]:
    """Watch the consumers from a thread for as long as the block lasts."""
    ended = Event()
    with plain(engine) as connection:
        governor = Governor(Observation(transaction_ms=transaction_ms(connection), lag=None))
    thread = Thread(target=_watch, args=(settings, engine, governor, ended), name="governor", daemon=True)
    thread.start()
    try:
        yield governor
    finally:
        ended.set()
        thread.join(LOOK_SECONDS)  # no longer: it may wait for a broker that does not answer


def _watch(settings: Settings, engine: Engine, governor: Governor, ended: Event) -> None:
    """Look every second; without a connection the consumers cannot be pressed by what we do either."""
    broker = Broker(settings)
    while not ended.wait(LOOK_SECONDS):
        with suppress(psycopg.Error, DBAPIError, ProgramError), plain(engine) as connection:
            while not ended.wait(LOOK_SECONDS):
                governor.update(Observation(transaction_ms=transaction_ms(connection), lag=broker.lag(connection)))


def transaction_ms(connection: Connection[Any]) -> float | None:
    """Tell how long the transactions of the consumers at work take."""
    row = connection.execute(SQL["transaction_ms"], {"recent_seconds": RECENT_SECONDS}).fetchone()
    return row[0] if row else None


class Broker:
    """Kafka, asked for the ends; one that does not answer is asked again after a while."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = [topic_of(entity, settings.topic_prefix) for entity in ENTITIES]
        self._again_at = 0.0
        self._admin: AdminClient | None = None

    def lag(self, connection: Connection[Any]) -> int | None:
        """Count the messages that Kafka has and PostgreSQL has not; None where Kafka is not there to be asked."""
        if not self._settings.kafka_bootstrap_servers or monotonic() < self._again_at:
            return None
        try:
            self._admin = self._admin or self._compared(connection)
            logs = describe_partitions(self._admin, self._topics)
        except (ProgramError, KafkaException) as error:
            _log.warning("lag unknown, only the consumers' transactions are watched", reason=str(error))
            self._again_at = monotonic() + AGAIN_SECONDS
            return None
        stored = connection.execute(SQL["positions"], {"group_id": self._settings.group_id})
        applied: dict[TopicPartition, int] = {(topic, partition): offset for topic, partition, offset in stored}
        return sum(max(0, log.high - applied.get(place, log.low)) for place, log in logs.items())

    def _compared(self, connection: Connection[Any]) -> "AdminClient":
        """Make a client; the ends of another cluster than the deployment's would say nothing."""
        client = kafka.admin(self._settings)
        cluster.compare(connection, self._settings, cluster_id(client))
        return client
