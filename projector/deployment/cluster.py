"""The Kafka cluster of a deployment: stored offsets mean nothing on another one.

A cluster says its id to whoever asks, and keeps it for as long as it lives. Clusters that were formatted with one id,
as the official image does unless told otherwise, cannot be told apart by it.
"""

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine

from events.runtime.errors import SettingError, StateError
from events.runtime.kafka import PROBE_SECONDS
from events.runtime.settings import Settings
from projector.deployment.identity import CLUSTER, SQL, driver_of, read

if TYPE_CHECKING:
    from psycopg import Connection as Driver


def require(engine: Engine, settings: Settings, client: AdminClient) -> None:
    """Refuse another cluster than the one whose offsets are stored.

    Raises:
        StateError: no cluster is written down.
        SettingError: naming both clusters and what to do.
        KafkaException: the cluster does not answer.

    """
    with engine.connect() as connection:
        compare(driver_of(connection), settings, client)


def compare(driver: "Driver[Any]", settings: Settings, client: AdminClient) -> None:
    """Do so on a connection that is there.

    Raises:
        StateError: as above.
        SettingError: as above.
        KafkaException: as above.

    """
    kept = (read(driver) or {}).get(CLUSTER)
    if kept is None:
        raise StateError(f"schema {settings.schema_name}: no Kafka cluster is written down: run `projector init`")
    _require_same(settings, kept, id_of(client))


def id_of(client: AdminClient) -> str:
    """Ask a cluster for its id.

    Raises:
        KafkaException: it does not answer.

    """
    return str(client.describe_cluster(request_timeout=PROBE_SECONDS).result().cluster_id)


def adopt(engine: Engine, settings: Settings, client: AdminClient) -> dict[str, str]:
    """Write the cluster down where none is, and return it then. One that is written down is compared.

    Raises:
        StateError: the stored positions are of topics that this cluster does not have.
        SettingError: another one is written down.
        KafkaException: the cluster does not answer.

    """
    found = id_of(client)
    with engine.begin() as connection:
        driver = driver_of(connection)
        if (read(driver) or {}).get(CLUSTER) is None:
            stored = {(topic, uid) for topic, uid in driver.execute(SQL["topics_read"]) if uid}
            if stored and not stored & _ids({topic for topic, _ in stored}, client):
                raise StateError(
                    f"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS names cluster {found}, whose topics are not those that schema "
                    f"{settings.schema_name} was filled from; to read them from now on: `projector deployment set "
                    "kafka-cluster`, then `projector positions set TOPIC all earliest` for each"
                )
            if driver.execute(SQL["write_cluster"], {CLUSTER: found}).rowcount:
                return {CLUSTER: found}
        kept = (read(driver) or {}).get(CLUSTER)  # also where another `init` was first, a moment ago
    _require_same(settings, str(kept), found)
    return {}


def _require_same(settings: Settings, kept: str, found: str) -> None:
    if found != kept:
        raise SettingError(
            f"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS names cluster {found}, but schema {settings.schema_name} was set up "
            f"with cluster {kept}: name that one's brokers, or see `projector deployment set kafka-cluster`"
        )


def _ids(topics: set[str], client: AdminClient) -> set[tuple[str, str]]:
    """Ask for topics' ids; one that the cluster does not have has none."""
    found = set()
    described = client.describe_topics(TopicCollection(sorted(topics)), request_timeout=PROBE_SECONDS)
    for name, future in described.items():
        try:
            found.add((name, str(future.result().topic_id)))
        except KafkaException as error:
            if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                raise
    return found
