"""Where partitions start: PostgreSQL's positions, each proven to lie in the log that it was stored for."""

from collections.abc import Mapping

import structlog
from confluent_kafka import Message as KafkaMessage
from sqlalchemy import Engine

from events.contract.types import TopicPartition
from events.runtime import kafka
from events.runtime.errors import ServiceUnavailable
from events.runtime.settings import Settings
from projector.consume.circuit_breaker import BreakerHistory, read_history
from projector.database import failures
from projector.deployment import identity
from projector.errors import PositionImpossible, TopicMissing
from projector.kafka_log import topic_configuration
from projector.kafka_log.broker import Broker
from projector.kafka_log.kafka_errors import at_end, is_gone
from projector.positions import store as positions
from projector.positions.store import Log, Position

_log = structlog.get_logger()


def ready(settings: Settings, engine: Engine, broker: Broker) -> dict[TopicPartition, Log]:
    """Return the logs of the topics, once deployment, cluster and topics are found to be what they have to be.

    What is merely advised against about a topic is a log line.

    Raises:
        StateError: the schema or a topic does not exist, or a topic is compacted.
        SettingError: a setting is not what this deployment was set up with.
        ServiceUnavailable: a service is away, or refuses us.

    """
    with failures.translate_database_errors(settings), kafka.translate_kafka_errors(settings):
        identity.require(engine, settings)
        broker.require_cluster(engine)
        found = broker.logs()
        for warning in topic_configuration.require_sound(broker.problems()):
            _log.warning("topic configuration", problem=warning)
        return found


class Starts:
    """Asks both services; what they fail of is one line that names the service."""

    def __init__(self, settings: Settings, engine: Engine, broker: Broker) -> None:
        self._settings = settings
        self._engine = engine
        self._broker = broker

    def proven(self, given: set[TopicPartition]) -> tuple[dict[TopicPartition, Position], BreakerHistory]:
        """Return where to start on partitions, and what the breaker remembers from before there.

        Raises:
            PositionImpossible: a position cannot be served.
            ServiceUnavailable: a service is away, or refuses us.

        """
        with failures.translate_database_errors(self._settings), kafka.translate_kafka_errors(self._settings):
            try:
                logs = self._broker.logs()
            except TopicMissing as missing:  # it was there when the program began
                raise PositionImpossible(positions.deleted(missing.topic)) from None
            positions.require_described(given, logs)
            logs = {place: logs[place] for place in given}
            with self._engine.begin() as connection:
                found = positions.begin(connection, self._settings.group_id, logs)
            for place, log in sorted(self._broker.witnessed(found, logs).items()):
                positions.require_servable(place, found[place], log)
            with self._engine.connect() as connection:
                return found, read_history(connection, found)

    def topic_ids(self) -> Mapping[str, str]:
        """Ask for the id that each topic has now; raises the same."""
        with kafka.translate_kafka_errors(self._settings):
            return self._broker.topic_ids()

    def at_end(self, message: KafkaMessage, places: set[TopicPartition]) -> bool:
        """Tell whether an error in a message's place says that the log ends there; raise what others mean.

        An offset that the broker does not have looks alike after retention, a cut log, and a topic that was created
        again: both services are asked once more, for the positions of these places, so that the error says which. A
        topic that one broker has not heard of is not gone.

        Raises:
            PositionImpossible: a position cannot be served.
            GroupRefused, KafkaException: see `projector.kafka_log.kafka_errors.at_end`.

        """
        try:
            return at_end(message)
        except PositionImpossible as known:
            self._require_servable(places, known)
            if is_gone(message):
                _log.warning("Kafka reports", error=str(known))  # and knows of it again
                return False
            raise

    def _require_servable(self, places: set[TopicPartition], known: PositionImpossible) -> None:
        try:
            self.proven(places)
        except ServiceUnavailable:  # for now; the next start says more exactly what it is
            raise known from None
