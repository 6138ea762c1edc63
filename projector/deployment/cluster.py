"""The Kafka cluster of a deployment: stored offsets mean nothing on another cluster.

A cluster keeps its id for as long as it exists. Clusters that were formatted with the same id, as the official image
does by default, cannot be distinguished by it.
"""

from typing import Any

from confluent_kafka.admin import AdminClient
from psycopg import Connection
from sqlalchemy import Engine

from events.runtime.errors import SettingError, StateError
from events.runtime.settings import Settings
from projector.database.engines import transaction
from projector.deployment import identity
from projector.deployment.identity import CLUSTER
from projector.kafka_log.partitions import cluster_id, describe_existing_topics


def require(engine: Engine, settings: Settings, found: str) -> None:
    """Refuse a cluster other than the one whose offsets are stored.

    Args:
        engine: of the deployment's database.
        settings: the program's.
        found: the id that the cluster reports.

    Raises:
        StateError: no cluster is recorded.
        SettingError: naming both clusters and what to do.

    """
    with transaction(engine) as connection:
        compare(connection, settings, found)


def compare(connection: Connection[Any], settings: Settings, found: str) -> None:
    """Do the same on an open connection; raises the same."""
    recorded = identity.read_cluster(connection)
    if recorded is None:
        raise StateError(f"schema {settings.schema_name}: no Kafka cluster is recorded: run `projector init`")
    _require_same(settings, recorded, found)


def adopt(engine: Engine, settings: Settings, client: AdminClient) -> dict[str, str]:
    """Record the cluster where none is recorded, and return it; otherwise compare.

    Raises:
        StateError: the stored positions belong to topics that this cluster does not have.
        SettingError: another cluster is recorded.
        KafkaException: the cluster does not answer.

    """
    found = cluster_id(client)
    with transaction(engine) as connection:
        if identity.read_cluster(connection) is None:
            _require_its_topics(connection, settings, client, found)
            if identity.write_cluster(connection, found):
                return {CLUSTER: found}
        recorded = identity.read_cluster(connection)  # a concurrent `init` may have recorded one a moment ago
    _require_same(settings, str(recorded), found)
    return {}


def _require_its_topics(connection: Connection[Any], settings: Settings, client: AdminClient, found: str) -> None:
    """Refuse a cluster that has none of the topics that were read so far."""
    stored = {(topic, topic_id) for topic, topic_id in identity.topics_read(connection) if topic_id}
    if not stored:
        return
    described = describe_existing_topics(client, sorted({topic for topic, _ in stored}))
    if stored.isdisjoint((topic, topic_id) for topic, (topic_id, _) in described.items()):
        raise StateError(
            f"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS names cluster {found}, whose topics are not those that schema "
            f"{settings.schema_name} was filled from; to read them from now on: `projector deployment set "
            "kafka-cluster`, then `projector positions set all all earliest`"
        )


def _require_same(settings: Settings, recorded: str, found: str) -> None:
    if found != recorded:
        raise SettingError(
            f"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS names cluster {found}, but schema {settings.schema_name} was set up "
            f"with cluster {recorded}: name that one's brokers, or see `projector deployment set kafka-cluster`"
        )
