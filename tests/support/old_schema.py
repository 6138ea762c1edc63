"""A schema as an earlier version left it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from events.runtime.settings import Settings
from projector.database.engines import make_engine

NAME: Final = "older"


@contextmanager
def before(settings: Settings, revision: str) -> Iterator[Engine]:
    """Create a schema of its own, upgraded up to and not including a revision."""
    engine = make_engine(settings.model_copy(update={"schema_name": NAME}), program="tests")
    with engine.begin() as connection, as_file(files("projector.database") / "migrations") as folder:
        connection.execute(text(f"CREATE SCHEMA {NAME}"))
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes.update(connection=connection, schema=NAME)
        command.upgrade(config, str(ScriptDirectory.from_config(config).get_revision(revision).down_revision))
    try:
        yield engine
    finally:
        engine.dispose()
