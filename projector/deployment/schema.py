"""`projector init`: the schema and the topics, created or upgraded."""

from importlib.resources import as_file, files
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from sqlalchemy import Engine, text

from events.contract.types import ENTITIES, topic_of
from events.runtime.settings import Settings
from projector.database import revision
from projector.database import roles as roles_
from projector.deployment import identity
from projector.kafka_log.topic_configuration import CREATED_WITH

MIGRATION_LOCK = 0x70726F6A  # an advisory lock, so that two `init`s do not create the same schema at once


class Upgraded(NamedTuple):
    """The schema's revisions before and after, what was written down, and what became of the roles."""

    before: str | None
    after: str | None
    adopted: dict[str, str]
    granted: roles_.Granted


def upgrade(engine: Engine, schema: str, *, roles: bool = False, settings: Settings | None = None) -> Upgraded:
    """Create or upgrade the schema in one transaction, with the roles where wished for or given before.

    What the deployment is gets written down where settings are given.

    Raises:
        StateError: somebody else owns something in the schema, or what is stored contradicts the settings.
        SettingError: a setting is not what the deployment was set up with.

    """
    with engine.begin() as connection, as_file(files("projector.database") / "migrations") as folder:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        roles_.require_nothing_planted(connection, schema)
        before = revision.current(connection, schema)
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes.update(connection=connection, schema=schema)
        command.upgrade(config, "head")
        adopted = identity.adopt(connection, settings) if settings else {}
        granted = roles_.grant(connection, schema, create=roles)
        return Upgraded(before, revision.current(connection, schema), adopted, granted)


def create_topics(client: AdminClient, settings: Settings) -> list[str]:
    """Create the topics that are missing, configured as the contract needs; return their names."""
    shape = (settings.topic_partitions, settings.topic_replication)
    wanted = [
        NewTopic(topic_of(entity, settings.topic_prefix), *shape, config=dict(CREATED_WITH)) for entity in ENTITIES
    ]
    return [name for name, future in client.create_topics(wanted).items() if _created(future)]


def create_topic(client: AdminClient, name: str, *, partitions: int, replication: int) -> bool:
    """Create one topic; return whether it was missing."""
    return _created(client.create_topics([NewTopic(name, partitions, replication)])[name])


def _created(future: object) -> bool:
    try:
        future.result()  # type: ignore[attr-defined]
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True
