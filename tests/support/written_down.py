"""What `projector init` writes down of a deployment, for databases that tests clone from a template."""

from collections.abc import Mapping

import psycopg
from confluent_kafka.admin import AdminClient
from psycopg import sql

from events.runtime.settings import Settings
from projector.kafka_log.partitions import cluster_id

WRITE = """
INSERT INTO {schema}.deployment (currency, timezone, topic_prefix, kafka_cluster)
VALUES (%(currency)s, %(timezone)s, %(topic_prefix)s, %(kafka_cluster)s)
ON CONFLICT (only_one) DO UPDATE SET
    currency = excluded.currency, timezone = excluded.timezone, topic_prefix = excluded.topic_prefix,
    kafka_cluster = coalesce(excluded.kafka_cluster, deployment.kafka_cluster)
"""


def write_down(settings: Settings, client: AdminClient | None = None) -> Settings:
    """Write down what these settings say, and a client's cluster; without one, that stays. Return the settings."""
    facts = settings.model_dump(include={"currency", "timezone", "topic_prefix"})
    found = cluster_id(client) if client is not None else None  # an idle client counts as false
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        statement = sql.SQL(WRITE).format(schema=sql.Identifier(settings.schema_name))
        connection.execute(statement, {**facts, "kafka_cluster": found})
    return settings


def in_currency(settings: Settings, environment: Mapping[str, str], currency: str) -> dict[str, str]:
    """Let the deployment and its programs have another currency from now on."""
    write_down(settings.model_copy(update={"currency": currency}))
    return {**environment, "PROJECTOR_CURRENCY": currency}
