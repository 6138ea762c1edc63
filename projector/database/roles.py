"""Three database roles, so that each program may do what it needs and no more: see `roles.sql`.

They are group roles without a login. A role belongs to the whole server, a schema to one database of it, so the names
of the roles contain both: two databases never share a role, and a grant in one opens nothing in the other. An operator
creates login users and makes each a member of one:

    CREATE ROLE consumer LOGIN PASSWORD '...' IN ROLE "DATABASE.SCHEMA.projector";
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, NamedTuple

from psycopg import Connection, sql
from psycopg.errors import DependentObjectsStillExist

from events.runtime.errors import StateError
from projector.database.statements import statements

ROLES: Final = ("projector", "backfill", "reader")
SQL: Final = statements("projector.database", "roles.sql")
GRANTS: Final = {"projector": "grant_projector", "backfill": "grant_backfill", "reader": "grant_reader"}
NAME_BYTES_MAX: Final = 63  # PostgreSQL truncates longer names
DIGEST_CHARACTERS: Final = 16
HEAD_CHARACTERS: Final = NAME_BYTES_MAX - DIGEST_CHARACTERS - len("~.projector")


class Granted(NamedTuple):
    """The result for the roles.

    Args:
        roles: those that now have exactly their rights.
        relieved: roles under an earlier name, whose rights were revoked, and their members.
        closed: statements that revoked what every user of the database had.
        advice: such statements that need a user with more rights.

    """

    roles: list[str]
    relieved: dict[str, list[str]]
    closed: list[str]
    advice: list[str]


def role_of(database: str, schema: str, name: str) -> str:
    """Return the name of one of a schema's roles in a database.

    The name is unique to the database and schema: a schema's name contains no dot and no tilde, so what precedes it is
    the database's name. If the name is too long, or would start like PostgreSQL's own, a digest of both replaces it.
    """
    full = f"{database}.{schema}.{name}"
    if len(full.encode()) <= NAME_BYTES_MAX and not full.startswith("pg_"):
        return full
    digest = sha256(f"{database}.{schema}".encode()).hexdigest()[:DIGEST_CHARACTERS]
    return f"{schema[:HEAD_CHARACTERS]}~{digest}.{name}"


def old_copies_of(schema: str) -> str:
    """Return the schema in which earlier versions kept copies of the balances."""
    return f"{schema}_backups"


def require_no_foreign_owner(connection: Connection[Any], schema: str) -> None:
    """Refuse to work in a schema in which another user owns an object.

    Raises:
        StateError: naming the object and its owner.

    """
    row = connection.execute(SQL["foreign_object"], {"schema": schema}).fetchone()
    if row:
        what, owner = row
        raise StateError(
            f"schema {schema}: {what} belongs to {owner}, who would act with your rights through it: drop it, or give "
            "it to the schema's owner, then run `projector init` as that owner"
        )


def grant(driver: Connection[Any], schema: str, *, create: bool) -> Granted:
    """Give each role exactly its rights, in the caller's transaction.

    Args:
        driver: a connection of the tables' owner, with the schema on its search path.
        schema: whose roles.
        create: create those that are missing; otherwise only roles that already had rights, under this name or an
            earlier one, get what a new version of the schema adds.

    """
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
        advice.insert(0, _grant_temporary(driver, database, [*wanted, owner]))
    _leave_old_copies(driver, schema, [*wanted, *former])
    return Granted(wanted, {role: opened[role] for role in sorted(former)}, closed, advice)


def _formerly(role: str, schema: str) -> str | None:
    """Return which of our roles a name stood for earlier; None if it is no such name.

    Such a name is from a version whose role names had no database in them, or this database was renamed or copied.
    """
    for name in ROLES:
        digested = rf"{re.escape(schema[:HEAD_CHARACTERS])}~[0-9a-f]{{{DIGEST_CHARACTERS}}}"
        if re.fullmatch(rf"{re.escape(schema)}_{name}|(.*\.{re.escape(schema)}|{digested})\.{name}", role, re.DOTALL):
            return name
    return None


def _columns(driver: Connection[Any], schema: str) -> dict[str, sql.Composable]:
    found = driver.execute(SQL["columns_to_change"], {"schema": schema})
    return {table: sql.SQL(", ").join(map(sql.Identifier, columns)) for table, columns in found}


def _closed(driver: Connection[Any], places: Mapping[str, sql.Composable]) -> tuple[list[str], list[str]]:
    """Revoke what PUBLIC has, as far as this user may; return the statements that were run and those that remain."""
    _execute(driver, "revoke_public", **places)
    closed: list[str] = []
    advice: list[str] = []
    for statement, may in driver.execute(SQL["public_privileges"]).fetchall():
        if may:
            driver.execute(statement.encode())
        (closed if may else advice).append(statement)
    return closed, advice


def _grant_temporary(driver: Connection[Any], database: str, roles: Sequence[str]) -> str:
    """Write the grant that keeps temporary tables for the roles that need them."""
    to = sql.SQL(", ").join(sql.Identifier(role) for role in roles if not role.endswith(".reader"))
    statement = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(sql.Identifier(database), to)
    return statement.as_string(driver)


def _leave_old_copies(driver: Connection[Any], schema: str, roles: Sequence[str]) -> None:
    backups = old_copies_of(schema)
    if driver.execute(SQL["has_old_copies"], {"backups": backups}).fetchone() != (True,):
        return
    place = sql.Identifier(backups)
    for role in roles:
        _execute(driver, "close_old_copies", backups=place, role=sql.Identifier(role))
    with suppress(DependentObjectsStillExist), driver.transaction():  # of other users; nothing of ours reads it
        _execute(driver, "drop_old_copies", backups=place)


def _execute(driver: Connection[Any], name: str, **parts: sql.Composable) -> None:
    driver.execute(sql.SQL(SQL[name]).format(**parts))
