"""Questions to the broker beside reading messages: topics, offsets, configuration, the cluster's id."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from events.contract.types import TopicPartition
from events.runtime import kafka
from events.runtime.kafka import PROBE_SECONDS
from events.runtime.settings import Settings
from projector.kafka_log import group, last_record, topic_configuration
from projector.kafka_log.group import Member
from projector.kafka_log.partitions import (
    PartitionLog,
    cluster_id,
    describe_partitions,
    describe_topics,
    first_since,
)
from projector.kafka_log.position_check import Position
from projector.kafka_log.topic_configuration import Problem
from projector.kafka_log.topics import topic_names

NEW_TOPIC_SECONDS: Final = 0.1  # between two attempts while a broker does not know a new topic yet


class Broker:
    """One admin client: made on first use, and made again after the cluster has refused a request.

    A client remembers the highest leader epochs it has seen and rejects lower ones. A cluster that was restored from an
    older copy has lower ones: only a new client can talk to it.
    """

    def __init__(self, settings: Settings, *, probe_seconds: float | None = None) -> None:
        self._settings = settings
        self._probe_seconds = probe_seconds  # for a first answer
        self._admin: AdminClient | None = None
        self.topics: Sequence[str] = topic_names(settings)

    def logs(self) -> dict[TopicPartition, PartitionLog]:
        """Describe every partition.

        Raises:
            StateError: a topic does not exist.
            KafkaException, ServiceUnavailableError: the broker does not answer, or refuses us.

        """
        with self._client() as admin:
            return describe_partitions(admin, self.topics)

    def topic_ids(self) -> dict[str, str]:
        """Return the topics' ids alone; raises the same."""
        with self._client() as admin:
            return {topic: topic_id for topic, (topic_id, _) in describe_topics(admin, self.topics).items()}

    def cluster_id(self) -> str:
        """Return the cluster's id.

        Raises:
            KafkaException, ServiceUnavailableError: as above.

        """
        with self._client() as admin:
            return cluster_id(admin)

    def members(self) -> list[Member]:
        """Return the members of the deployment's group.

        Raises:
            KafkaException, ServiceUnavailableError: as above.

        """
        with self._client() as admin:
            return group.members(admin, self._settings.group_id)

    def first_since(self, places: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        """Return the offset of each partition's first message since then, where there is one; raises the same."""
        with self._client() as admin:
            return first_since(admin, places, timestamp_ms)

    def require_no_members(self) -> None:
        """Refuse to go on while a consumer of the deployment's group runs.

        Raises:
            StateError: naming the number of members.
            KafkaException, ServiceUnavailableError: as above.

        """
        with self._client() as admin:
            group.require_no_members(admin, self._settings.group_id)

    def problems(self) -> list[Problem]:
        """Compare the topics' configuration with what the contract needs.

        Raises:
            KafkaException: the broker does not answer, or still does not know a topic that was created just now.
            ServiceUnavailableError: it refuses us.

        """
        deadline = time.monotonic() + PROBE_SECONDS
        while True:
            try:
                with self._client() as admin:
                    return topic_configuration.read(admin, self.topics)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
                    raise
                time.sleep(NEW_TOPIC_SECONDS)

    def retention_seconds(self) -> dict[str, float]:
        """Return how long each topic keeps a message, infinite where age deletes none; raises as `logs` does."""
        with self._client() as admin:
            return topic_configuration.retention_seconds(admin, self.topics)

    def reread(
        self, stored: Mapping[TopicPartition, Position], logs: Mapping[TopicPartition, PartitionLog]
    ) -> dict[TopicPartition, PartitionLog]:
        """Read the messages applied last again; raises the same."""
        return last_record.reread(self._settings, stored, logs)

    @contextmanager
    def _client(self) -> Iterator[AdminClient]:
        client = self._admin  # kept in a local name: another thread may drop the attribute meanwhile
        if client is None:
            client = self._admin = kafka.admin(self._settings, probe_seconds=self._probe_seconds)
        try:
            yield client
        except KafkaException as error:
            if error.args[0].code() > 0:  # the broker's own answer, not a failure to reach it
                self._admin = None
            raise
