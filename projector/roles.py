"""Three roles of the database, so that each program may do what it needs and no more: see `sql/roles.sql`.

They are groups without a login, named for the schema. An operator makes users with a login and puts each into one:

    CREATE ROLE consumer LOGIN PASSWORD '...' IN ROLE billing_projector;
"""

from typing import Any, Final, cast

from psycopg import Connection as Driver
from psycopg import sql
from sqlalchemy import Connection

from projector.statements import statements

ROLES: Final = ("projector", "backfill", "reader")
SQL: Final = statements("projector", "sql/roles.sql")
GRANTS: Final = {"projector": "grant_projector", "backfill": "grant_backfill", "reader": "grant_reader"}


def role_of(schema: str, name: str) -> str:
    """Name one of the roles of a schema; they belong to the whole server, so another schema's are others."""
    return f"{schema}_{name}"


def backups_of(schema: str) -> str:
    """Name the schema beside it that copies of the balances are made in: it is on nobody's search path."""
    return f"{schema}_backups"


def grant(connection: Connection, schema: str, *, create: bool) -> list[str]:
    """Give each role exactly its rights, in the caller's transaction; return the roles.

    Args:
        connection: of whoever owns the tables, with the schema on its search path.
        schema: whose roles.
        create: make those that are missing; else only those that were granted something before get what a new version
            of the schema adds.

    """
    driver = cast("Driver[Any]", connection.connection.driver_connection)
    names = {role_of(schema, name): name for name in ROLES}
    if create:
        for role in names:
            _do(driver, "create_role", named=sql.Literal(role), role=sql.Identifier(role))
        granted = list(names)
    else:
        found = {role for (role,) in driver.execute(SQL["roles_in_use"], {"schema": schema, "roles": list(names)})}
        granted = [role for role in names if role in found]
    places = {
        "schema": sql.Identifier(schema),
        "backups": sql.Identifier(backups_of(schema)),
        "database": sql.Identifier(driver.info.dbname),
    }
    for role in granted:
        for statement in ("relieve", GRANTS[names[role]]):
            _do(driver, statement, role=sql.Identifier(role), **places)
    return granted


def _do(driver: "Driver[Any]", name: str, **parts: sql.Composable) -> None:
    driver.execute(sql.SQL(SQL[name]).format(**parts))
