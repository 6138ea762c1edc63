"""Three roles of the database, so that each program may do what it needs and no more: see `roles.sql`.

They are groups without a login. A role belongs to the whole server, a schema to one database of it, so the roles' names
hold both: two databases never share one, and what one grants opens nothing of the other. An operator makes users with a
login and puts each into one:

    CREATE ROLE consumer LOGIN PASSWORD '...' IN ROLE "DATABASE.SCHEMA.projector";
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, NamedTuple, cast

from psycopg import Connection as Driver
from psycopg import sql
from psycopg.errors import DependentObjectsStillExist
from sqlalchemy import Connection

from events.runtime.errors import StateError
from projector.database.statements import statements

ROLES: Final = ("projector", "backfill", "reader")
SQL: Final = statements("projector.database", "roles.sql")
GRANTS: Final = {"projector": "grant_projector", "backfill": "grant_backfill", "reader": "grant_reader"}
NAME_BYTES_MAX: Final = 63  # PostgreSQL cuts off what is longer
DIGEST_CHARACTERS: Final = 16
HEAD_CHARACTERS: Final = NAME_BYTES_MAX - DIGEST_CHARACTERS - len("~.projector")


class Granted(NamedTuple):
    """What became of the roles.

    Args:
        roles: those that have exactly their rights now.
        relieved: roles under an earlier name that have none any more, and who is in them.
        closed: statements that took back what every user of the database had.
        advice: such statements that need somebody with more rights.

    """

    roles: list[str]
    relieved: dict[str, list[str]]
    closed: list[str]
    advice: list[str]


def role_of(database: str, schema: str, name: str) -> str:
    """Name one of the roles of a schema in a database.

    No other database and schema have it: a schema's name holds no dot and no tilde, so what stands before it is the
    database's. Where that is too long, or would begin as PostgreSQL's own, a digest of both stands for it.
    """
    full = f"{database}.{schema}.{name}"
    if len(full.encode()) <= NAME_BYTES_MAX and not full.startswith("pg_"):
        return full
    digest = sha256(f"{database}.{schema}".encode()).hexdigest()[:DIGEST_CHARACTERS]
    return f"{schema[:HEAD_CHARACTERS]}~{digest}.{name}"


def old_copies_of(schema: str) -> str:
    """Name the schema in which earlier versions kept copies of the balances."""
    return f"{schema}_backups"


def require_nothing_planted(connection: Connection, schema: str) -> None:
    """Refuse to work in a schema in which somebody else owns something, as whoever runs `projector init`.

    Raises:
        StateError: naming it and its owner.

    """
    row = _driver(connection).execute(SQL["planted"], {"schema": schema}).fetchone()
    if row:
        what, owner = row
        raise StateError(
            f"schema {schema}: {what} belongs to {owner}, who would act with your rights through it: drop it, or give "
            "it to the schema's owner, then run `projector init` as that owner"
        )


def grant(connection: Connection, schema: str, *, create: bool) -> Granted:
    """Give each role exactly its rights, in the caller's transaction.

    Args:
        connection: of whoever owns the tables, with the schema on its search path.
        schema: whose roles.
        create: make those that are missing; else only those that were granted something before, under this name or an
            earlier one, get what a new version of the schema adds.

    """
    driver = _driver(connection)
    database, owner = driver.execute(SQL["who_and_where"]).fetchone() or ("", "")
    names = {role_of(database, schema, name): name for name in ROLES}
    opened = dict(driver.execute(SQL["roles_with_rights"], {"schema": schema}).fetchall())
    former = {role: name for role in opened.keys() - names.keys() if (name := _formerly(role, schema))}
    wanted = [role for role, name in names.items() if create or role in opened or name in former.values()]
    places = {**_columns(driver, schema), "schema": sql.Identifier(schema), "database": sql.Identifier(database)}
    for role in wanted:
        _execute(driver, "create_role", named=sql.Literal(role), role=sql.Identifier(role))
    for role in (*wanted, *former):
        _execute(driver, "revoke_all", role=sql.Identifier(role), **places)
    for role in wanted:
        _execute(driver, GRANTS[names[role]], role=sql.Identifier(role), **places)
    closed, advice = _closed(driver, places) if wanted else ([], [])
    if any(statement.startswith("REVOKE TEMPORARY") for statement in advice):
        advice.insert(0, _still_needed(driver, database, [*wanted, owner]))
    _leave_old_copies(driver, schema, [*wanted, *former])
    return Granted(wanted, {role: opened[role] for role in sorted(former)}, closed, advice)


def _formerly(role: str, schema: str) -> str | None:
    """Tell which of our roles a name is from before.

    It is of a version without the database in it, or of another database that this one was renamed or copied from.
    """
    for name in ROLES:
        digested = rf"{re.escape(schema[:HEAD_CHARACTERS])}~[0-9a-f]{{{DIGEST_CHARACTERS}}}"
        if re.fullmatch(rf"{re.escape(schema)}_{name}|(.*\.{re.escape(schema)}|{digested})\.{name}", role, re.DOTALL):
            return name
    return None


def _columns(driver: "Driver[Any]", schema: str) -> dict[str, sql.Composable]:
    found = driver.execute(SQL["columns_to_change"], {"schema": schema})
    return {table: sql.SQL(", ").join(map(sql.Identifier, columns)) for table, columns in found}


def _closed(driver: "Driver[Any]", places: Mapping[str, sql.Composable]) -> tuple[list[str], list[str]]:
    """Take back what everybody has, where that is ours to do; return what was taken and what somebody else has to."""
    _execute(driver, "close_to_everybody", **places)
    closed: list[str] = []
    advice: list[str] = []
    for statement, may in driver.execute(SQL["open_to_everybody"]).fetchall():
        if may:
            driver.execute(statement.encode())
        (closed if may else advice).append(statement)
    return closed, advice


def _still_needed(driver: "Driver[Any]", database: str, roles: Sequence[str]) -> str:
    """Say how those who work with temporary tables keep them."""
    to = sql.SQL(", ").join(sql.Identifier(role) for role in roles if not role.endswith(".reader"))
    statement = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(sql.Identifier(database), to)
    return statement.as_string(driver)


def _leave_old_copies(driver: "Driver[Any]", schema: str, roles: Sequence[str]) -> None:
    backups = old_copies_of(schema)
    if driver.execute(SQL["has_old_copies"], {"backups": backups}).fetchone() != (True,):
        return
    place = sql.Identifier(backups)
    for role in roles:
        _execute(driver, "close_old_copies", backups=place, role=sql.Identifier(role))
    with suppress(DependentObjectsStillExist), driver.transaction():  # somebody may want what is left; nothing reads it
        _execute(driver, "drop_old_copies", backups=place)


def _execute(driver: "Driver[Any]", name: str, **parts: sql.Composable) -> None:
    driver.execute(sql.SQL(SQL[name]).format(**parts))


def _driver(connection: Connection) -> "Driver[Any]":
    return cast("Driver[Any]", connection.connection.driver_connection)
