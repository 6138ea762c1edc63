"""The schema's revision, and the one that this program needs.

This does without Alembic, whose import would take a tenth of a command's start; only `projector init` loads it.
"""

from importlib.resources import files
from typing import Any, Final

from psycopg import Connection, sql
from sqlalchemy import Engine

from events.runtime.console import DISTRIBUTION
from events.runtime.errors import StateError
from projector.database.engines import transaction
from projector.database.statements import statements

SQL: Final = statements("projector.database", "revision.sql")


def known() -> list[str]:
    """Return every revision, ascending: the numbers at the start of the file names in `migrations/versions`."""
    names = [file.name for file in files("projector.database").joinpath("migrations/versions").iterdir()]
    return sorted(name.partition("_")[0] for name in names if name[0].isdigit())


def needed() -> str:
    """Return the latest revision."""
    return known()[-1]


def current(connection: Connection[Any], schema: str) -> str | None:
    """Return the schema's revision; None if it was never created."""
    if connection.execute(SQL["is_created"], {"schema": schema}).fetchone() != (True,):
        return None
    row = connection.execute(sql.SQL(SQL["current"]).format(schema=sql.Identifier(schema))).fetchone()
    return row[0] if row else None


def require_current(engine: Engine, schema: str) -> None:
    """Refuse to work on a schema that is missing, older or newer than this program.

    Raises:
        StateError: naming both revisions.

    """
    with transaction(engine) as connection:
        found = current(connection, schema)
    if found is None:
        raise StateError(f"schema {schema} does not exist yet: run `projector init`")
    require_known(found, schema)
    if found != (head := needed()):
        raise StateError(f"schema {schema} is at revision {found}, this program needs {head}: run `projector init`")


def require_known(found: str, schema: str) -> None:
    """Refuse a schema that a newer release has upgraded: neither a program nor `projector init` of this one can use it.

    Raises:
        StateError: naming both revisions.

    """
    revisions = known()
    if found not in revisions:
        from importlib.metadata import version  # noqa: PLC0415 - loads what no other start needs

        raise StateError(
            f"schema {schema} is at revision {found}, and this release ({version(DISTRIBUTION)}) knows none after "
            f"{revisions[-1]}: install the release that upgraded the schema, or restore the copy from before the "
            "upgrade"
        )
