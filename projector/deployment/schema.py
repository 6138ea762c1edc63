"""`projector init`: the schema, created or upgraded."""

from importlib.resources import as_file, files
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

from events.runtime.settings import Settings
from projector.database import revision
from projector.database import roles as roles_
from projector.database.engines import driver_of
from projector.deployment import identity

MIGRATION_LOCK = 0x70726F6A  # an advisory lock, so that two `init`s never create the same schema concurrently


class Upgraded(NamedTuple):
    """The schema's revisions before and after, the facts that were recorded, and the result for the roles."""

    before: str | None
    after: str | None
    adopted: dict[str, str]
    granted: roles_.Granted


def upgrade(engine: Engine, schema: str, *, roles: bool = False, settings: Settings | None = None) -> Upgraded:
    """Create or upgrade the schema in one transaction.

    Args:
        engine: of the database.
        schema: its name.
        roles: create the roles too; roles that exist are brought up to date in any case.
        settings: record what the deployment is, or compare with what is recorded.

    Raises:
        StateError: another user owns something in the schema, a newer release has upgraded it, or what is stored
            contradicts the settings.
        SettingError: a setting differs from what the deployment was set up with.

    """
    with engine.begin() as connection, as_file(files("projector.database") / "migrations") as folder:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        driver = driver_of(connection)
        roles_.require_no_foreign_owner(driver, schema)
        before = revision.current(driver, schema)
        if before is not None:
            revision.require_known(before, schema)
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes.update(connection=connection, schema=schema)
        command.upgrade(config, "head")
        adopted = identity.adopt(driver, settings) if settings else {}
        granted = roles_.grant(driver, schema, create=roles)
        return Upgraded(before, revision.current(driver, schema), adopted, granted)
