"""The topics of a deployment: their names, and creating those that are missing."""

from concurrent.futures import Future
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from events.contract.types import ENTITIES, topic_of
from events.runtime.settings import Settings
from projector.kafka_log.topic_configuration import CREATED_WITH

CREATE_SECONDS: Final = 30.0  # a controller that has not created topics by then is not reached


def topic_names(settings: Settings) -> list[str]:
    """Return the topic of each entity."""
    return [topic_of(entity, settings.topic_prefix) for entity in ENTITIES]


def create_topics(client: AdminClient, settings: Settings) -> list[str]:
    """Create the topics that are missing, configured as the contract needs; return their names."""
    shape = (settings.topic_partitions, settings.topic_replication)
    missing = [NewTopic(name, *shape, config=dict(CREATED_WITH)) for name in topic_names(settings)]
    asked = client.create_topics(missing, request_timeout=CREATE_SECONDS)
    return [name for name, future in asked.items() if _created(future)]


def create_topic(client: AdminClient, name: str, *, partitions: int, replication: int) -> bool:
    """Create one topic; return whether it was missing."""
    topic = NewTopic(name, partitions, replication)
    return _created(client.create_topics([topic], request_timeout=CREATE_SECONDS)[name])


def _created(future: Future[None]) -> bool:
    try:
        future.result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True
