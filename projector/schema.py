"""`projector init`: the schema and the topics, created or upgraded."""

from importlib.resources import as_file, files
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from sqlalchemy import Connection, Engine, text

from events.errors import StateError
from events.settings import Settings
from events.types import ENTITIES, topic_of
from projector import roles as roles_

MIGRATION_LOCK = 0x70726F6A  # an advisory lock, so that two `init`s do not create the same schema at once


class Upgraded(NamedTuple):
    """The schema's revisions before and after, and the roles that were given their rights."""

    before: str | None
    after: str | None
    roles: list[str]


def upgrade(engine: Engine, schema: str, *, roles: bool = False) -> Upgraded:
    """Create or upgrade the schema in one transaction, with the roles where wished for or given before."""
    with engine.begin() as connection, as_file(files("projector") / "migrations") as folder:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        for name in (schema, roles_.backups_of(schema)):
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{name}"'))
        before = revision(connection, schema)
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes.update(connection=connection, schema=schema)
        command.upgrade(config, "head")
        granted = roles_.grant(connection, schema, create=roles)
        return Upgraded(before, revision(connection, schema), granted)


def revision(connection: Connection, schema: str) -> str | None:
    """Return the revision the schema is at, or None where it was never created."""
    return MigrationContext.configure(connection, opts={"version_table_schema": schema}).get_current_revision()


def require_current(engine: Engine, schema: str) -> None:
    """Refuse to work on a schema that is missing, older or newer than this program.

    Raises:
        StateError: saying which.

    """
    with engine.connect() as connection, as_file(files("projector") / "migrations") as folder:
        found = revision(connection, schema)
        head = ScriptDirectory(str(folder)).get_current_head()
    if found is None:
        raise StateError(f"schema {schema} does not exist yet: run `projector init`")
    if found != head:
        raise StateError(f"schema {schema} is at revision {found}, this program needs {head}: run `projector init`")


def create_topics(client: AdminClient, settings: Settings) -> list[str]:
    """Create the topics that are missing; return their names."""
    wanted = [
        NewTopic(topic_of(entity, settings.topic_prefix), settings.topic_partitions, settings.topic_replication)
        for entity in ENTITIES
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
