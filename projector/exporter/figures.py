"""What one look at PostgreSQL and Kafka finds; a service that does not answer leaves its figures out."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

import structlog
from sqlalchemy import Engine

from events.contract.types import TopicPartition
from events.runtime.errors import ProgramError, ServiceUnavailableError
from events.runtime.kafka import translate_kafka_errors
from events.runtime.settings import Settings
from projector.database.engines import transaction
from projector.database.failures import translate_database_errors
from projector.deployment import cluster, identity
from projector.errors import TopicMissingError
from projector.exporter.stored import Stored
from projector.exporter.waiting import Waiting
from projector.kafka_log.broker import Broker
from projector.metrics.broker_watch import BrokerWatch, Logs
from projector.metrics.catalogue import Source
from projector.metrics.families import Families
from projector.positions import store as positions

_log = structlog.get_logger()


class Figures:
    """Looks at both services, again and again."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._watch = BrokerWatch(settings)
        self._broker = Broker(settings)
        self._stored = Stored(settings.group_id)
        self._waiting = Waiting(settings)
        self._looking = Lock()
        self.failures: dict[str, ProgramError] = {}
        """Why a service did not answer the last time, by service."""

    def look(self) -> Families:
        """Ask both services; one look at a time.

        Raises:
            SettingError: a setting differs from what this deployment was set up with.
            StateError: the schema does not exist, or is not at this program's revision.

        """
        with self._looking:
            return self._look(self._settings)

    def close(self) -> None:
        """Disconnect; a look that is not over keeps its connections, until the process ends."""
        if self._looking.acquire(blocking=False):
            self._waiting.close()

    def _look(self, settings: Settings) -> Families:
        families = Families()
        self.failures = {}
        families.add_build_info(Source.EXPORTER.value, settings)
        stored: Mapping[TopicPartition, int] | None = None
        with self._asked("postgresql", families), translate_database_errors(settings):
            identity.require(self._engine, settings)
            with transaction(self._engine) as connection:
                self._stored.add(connection, families)
                found = positions.read(connection, settings.group_id)
            stored = {place: position.next_offset for place, position in found.items()}
        with self._asked("kafka", families), translate_kafka_errors(settings):
            cluster.require(self._engine, settings, self._broker.cluster_id())
            logs = self._watch.ask()
            families.add("projector_consumers", len(self._broker.members()))
            families.add("projector_topic_problems", len(self._broker.problems()))
            if stored is not None:
                self._add_positions(families, stored, logs)
        families.add("projector_broker_offsets_timestamp_seconds", self._watch.logs.asked_at)
        return families

    @contextmanager
    def _asked(self, service: str, families: Families) -> Iterator[None]:
        """Note whether a service answers."""
        try:
            yield
        except (ServiceUnavailableError, TopicMissingError) as failure:
            self.failures[service] = failure
        families.add("projector_up", service not in self.failures, service=service)

    def _add_positions(self, families: Families, stored: Mapping[TopicPartition, int], logs: Logs) -> None:
        since, now, ages = self._waiting.since(stored, logs.partitions), time.time(), [0.0]
        for place, log in sorted(logs.partitions.items()):
            offset = stored.get(place, log.low)
            age = max(0.0, now - since[place]) if place in since else 0.0
            ages.append(age)
            headroom = logs.headroom(place, offset, age)
            families.add_position(place, offset, lag=max(0, log.high - offset), age=age, headroom=headroom)
        families.add("projector_freshness_seconds", max(ages))
