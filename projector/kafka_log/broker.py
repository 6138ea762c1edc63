"""What a consumer asks the broker for beside messages: topics and their ids, ends of logs, what is configured."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine

from events.contract.types import ENTITIES, TopicPartition, topic_of
from events.runtime import kafka
from events.runtime.kafka import PROBE_SECONDS
from events.runtime.settings import Settings
from projector.deployment import cluster
from projector.kafka_log import topic_configuration, witness
from projector.kafka_log.topic_configuration import Problem
from projector.positions import store as positions
from projector.positions.store import Log, Position

HEARD_SECONDS: Final = 0.1  # between two looks whether a broker has heard of a new topic


class Broker:
    """One admin client, made when it is first needed, and again where the cluster refuses what it believes.

    A client remembers the leader epochs that it has heard of and goes by no lower one. Those of a cluster that was
    restored from an older copy are lower: only a new client can talk to it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: AdminClient | None = None
        self.topics: Sequence[str] = [topic_of(entity, settings.topic_prefix) for entity in ENTITIES]

    def logs(self) -> dict[TopicPartition, Log]:
        """Describe every partition.

        Raises:
            StateError: a topic does not exist.
            KafkaException, ServiceUnavailable: the broker does not answer, or refuses us.

        """
        with self._client() as admin:
            return positions.describe(admin, self.topics)

    def topic_ids(self) -> dict[str, str]:
        """Ask for the topics' ids alone; raises the same."""
        with self._client() as admin:
            return {topic: found[0] for topic, found in positions.topics_of(admin, self.topics).items()}

    def require_cluster(self, engine: Engine) -> None:
        """Refuse another cluster than the deployment's.

        Raises:
            SettingError: naming both.
            StateError: none is written down.
            KafkaException, ServiceUnavailable: as above.

        """
        with self._client() as admin:
            cluster.require(engine, self._settings, admin)

    def problems(self) -> list[Problem]:
        """Compare the topics' configuration with what the contract needs.

        Raises:
            KafkaException: the broker does not answer, or has after a while not heard of a topic created just now.
            ServiceUnavailable: it refuses us.

        """
        deadline = time.monotonic() + PROBE_SECONDS
        while True:
            try:
                with self._client() as admin:
                    return topic_configuration.read(admin, self.topics)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
                    raise
                time.sleep(HEARD_SECONDS)

    def witnessed(
        self, stored: Mapping[TopicPartition, Position], logs: Mapping[TopicPartition, Log]
    ) -> dict[TopicPartition, Log]:
        """Look at what identifies each log; raises the same."""
        return witness.look(self._settings, stored, logs)

    @contextmanager
    def _client(self) -> Iterator[AdminClient]:
        client = self._admin  # a name of our own: other threads ask as well, and may let go of it
        if client is None:
            client = self._admin = kafka.admin(self._settings)
        try:
            yield client
        except KafkaException as error:
            if error.args[0].code() > 0:  # the broker's own answer, and no failure to reach it
                self._admin = None
            raise
