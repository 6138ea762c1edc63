"""Which revision the schema is at, and which one this program needs.

Without Alembic, which only `projector init` has to load: importing it would take a tenth of any other command's start.
"""

from importlib.resources import files
from typing import Any, Final, cast

from psycopg import Connection as Driver
from psycopg import sql
from sqlalchemy import Connection, Engine

from events.runtime.errors import StateError
from projector.database.statements import statements

SQL: Final = statements("projector.database", "revision.sql")


def needed() -> str:
    """Return the latest revision: the number that its file under `migrations/versions` begins with."""
    names = [file.name for file in files("projector.database").joinpath("migrations/versions").iterdir()]
    return max(name.partition("_")[0] for name in names if name[0].isdigit())


def current(connection: Connection, schema: str) -> str | None:
    """Return the revision the schema is at, or None where it was never created."""
    driver = cast("Driver[Any]", connection.connection.driver_connection)
    if driver.execute(SQL["is_created"], {"schema": schema}).fetchone() != (True,):
        return None
    row = driver.execute(sql.SQL(SQL["current"]).format(schema=sql.Identifier(schema))).fetchone()
    return row[0] if row else None


def require_current(engine: Engine, schema: str) -> None:
    """Refuse to work on a schema that is missing, older or newer than this program.

    Raises:
        StateError: saying which.

    """
    with engine.connect() as connection:
        found = current(connection, schema)
    if found is None:
        raise StateError(f"schema {schema} does not exist yet: run `projector init`")
    if found != (head := needed()):
        raise StateError(f"schema {schema} is at revision {found}, this program needs {head}: run `projector init`")
