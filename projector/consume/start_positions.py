"""Where assigned partitions start: at PostgreSQL's positions, each checked against the broker's log."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from confluent_kafka import Message as KafkaMessage
from sqlalchemy import Engine

from events.contract.types import TopicPartition
from events.runtime import kafka
from events.runtime.errors import ServiceUnavailableError
from events.runtime.settings import Settings
from projector.consume.circuit_breaker import BreakerHistory, read_history
from projector.database.engines import transaction
from projector.database.failures import translate_database_errors
from projector.deployment import cluster, identity
from projector.errors import PositionImpossibleError, TopicMissingError
from projector.kafka_log import topic_configuration
from projector.kafka_log.broker import Broker
from projector.kafka_log.kafka_errors import at_end, is_gone
from projector.kafka_log.partitions import PartitionLog, require_described
from projector.kafka_log.position_check import Position, deleted, require_same_topic, require_servable
from projector.positions import store as positions

_log = structlog.get_logger()


def check_deployment(settings: Settings, engine: Engine, broker: Broker) -> dict[TopicPartition, PartitionLog]:
    """Return the logs of the topics, after checking deployment, cluster and topic configuration.

    A topic configuration that is advised against is a log line.

    Raises:
        StateError: the schema or a topic does not exist, or a topic is compacted.
        SettingError: a setting differs from what this deployment was set up with.
        ServiceUnavailableError: a service is unavailable, or refuses us.

    """
    with translate_database_errors(settings), kafka.translate_kafka_errors(settings):
        identity.require(engine, settings)
        cluster.require(engine, settings, broker.cluster_id())
        logs = broker.logs()
        for warning in topic_configuration.require_sound(broker.problems()):
            _log.warning("topic configuration", problem=warning)
        return logs


@dataclass(frozen=True, kw_only=True)
class Proven:
    """Where assigned partitions start, in a log that is the one that was read.

    Args:
        starts: the position of each assigned partition.
        history: the refused messages right before those positions.
        topic_ids: of every topic, assigned or not.

    """

    starts: Mapping[TopicPartition, Position]
    history: BreakerHistory
    topic_ids: Mapping[str, str]


class StartPositions:
    """Asks both services; an error of either is one line that names the service."""

    def __init__(self, settings: Settings, engine: Engine, broker: Broker) -> None:
        self._settings = settings
        self._engine = engine
        self._broker = broker

    def proven(self, assigned: set[TopicPartition]) -> Proven:
        """Return where partitions start, after checking their positions against the broker's log.

        The topic ids of the whole group's positions are checked. A topic that was deleted and created again may be
        assigned to nobody yet, and each consumer has to stop for it: the command that recovers demands it.

        Raises:
            PositionImpossibleError: the broker cannot serve a position.
            ServiceUnavailableError: a service is unavailable, or refuses us.

        """
        with translate_database_errors(self._settings), kafka.translate_kafka_errors(self._settings):
            try:
                logs = self._broker.logs()
            except TopicMissingError as missing:  # it existed when the program started
                raise PositionImpossibleError(deleted(missing.topic)) from None
            require_described(assigned, logs)
            ours = {place: logs[place] for place in assigned}
            with transaction(self._engine) as connection:
                stored = positions.begin(connection, self._settings.group_id, ours)
            for place in sorted(stored.keys() & logs.keys()):
                require_same_topic(place, stored[place], logs[place])
            starts = {place: stored[place] for place in assigned}
            for place, log in sorted(self._broker.reread(starts, ours).items()):
                require_servable(place, starts[place], log)
            with transaction(self._engine) as connection:
                history = read_history(connection, starts)
        return Proven(
            starts=starts, history=history, topic_ids={topic: log.topic_id for (topic, _), log in logs.items()}
        )

    def topic_ids(self) -> Mapping[str, str]:
        """Return the current id of each topic; raises the same."""
        with kafka.translate_kafka_errors(self._settings):
            return self._broker.topic_ids()

    def at_end(self, message: KafkaMessage, places: set[TopicPartition]) -> bool:
        """Tell whether an error in place of a message reports the end of the log; raise for other errors.

        librdkafka reports an unavailable offset in the same way after retention, after the log was truncated and after
        the topic was created again. So the positions of these partitions are checked again, and the error says which of
        these it was. An unknown topic is reported by a single broker, and may still exist.

        Raises:
            PositionImpossibleError: the broker cannot serve a position.
            GroupRefusedError, KafkaException: see `projector.kafka_log.kafka_errors.at_end`.

        """
        try:
            return at_end(message)
        except PositionImpossibleError as reported:
            self._require_servable(places, reported)
            if is_gone(message):
                _log.warning("Kafka error", error=str(reported))  # the topic is known again
                return False
            raise

    def _require_servable(self, places: set[TopicPartition], reported: PositionImpossibleError) -> None:
        try:
            self.proven(places)
        except ServiceUnavailableError:  # the next start checks again
            raise reported from None
