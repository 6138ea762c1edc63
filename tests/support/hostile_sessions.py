"""Roles, databases and environments whose every default is as far from what programs assume as PostgreSQL allows."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection, sql
from sqlalchemy import make_url

from projector.sandbox.processes import wait_until

ENVIRONMENT: Final = {
    "PGOPTIONS": "-c default_transaction_isolation=serializable -c array_nulls=off -c search_path=pg_temp",
    "PGDATESTYLE": "SQL, DMY",
    "PGTZ": "Pacific/Chatham",
    "PGCLIENTENCODING": "LATIN1",
    "PGGEQO": "off",
}
CHOSEN: Final = {
    "DateStyle": "SQL, DMY",
    "TimeZone": "Pacific/Chatham",
    "client_encoding": "LATIN1",
    "createrole_self_grant": "set, inherit",
    "default_tablespace": "pg_global",
    "default_text_search_config": "pg_catalog.simple",
    "default_transaction_isolation": "serializable",
    "jit": "on",
    "lc_monetary": "POSIX",
    "lc_numeric": "POSIX",
    "lc_time": "POSIX",
    "restrict_nonsystem_relation_kind": "",
    "row_security": "on",
    "search_path": "hostile, pg_catalog",
    "synchronous_commit": "off",
    "temp_tablespaces": "pg_global",
    "timezone_abbreviations": "India",
}
"""Values of what is neither a number nor one of a few words, or where one word is worse than the others."""
SPARED: Final = {
    "application_name": "every program gives its own with the connection, as it should",
    "debug_print_parse": "the server's log would grow by megabytes, and nothing else would change",
    "debug_print_plan": "the same",
    "debug_print_rewritten": "the same",
    "default_table_access_method": "the server has one method only",
    "local_preload_libraries": "a library that is not there lets nobody in",
    "transaction_deferrable": "is of one transaction",
    "transaction_isolation": "is of one transaction",
    "transaction_read_only": "is of one transaction",
}
"""What a role may set and is left as it is, and why."""
EVERYTHING: Final = "pg_read_all_data, pg_write_all_data"
"""Groups that make of a role one that works on any schema, whatever the deployment's own roles are called."""
SETTABLE: Final = """
SELECT name, vartype, boot_val, min_val, max_val, enumvals FROM pg_settings
WHERE context = 'user' AND name NOT LIKE '%.%' ORDER BY name
"""


class Hostile(NamedTuple):
    """A role that may own a database, and what programs have to know to work as it."""

    name: str
    password: str

    def url(self, address: str) -> str:
        """Write an address with this role in the place of its user."""
        return make_url(address).set(username=self.name, password=self.password).render_as_string(hide_password=False)


def defaults(connection: Connection[Any]) -> dict[str, str]:
    """Choose a hostile value for each setting that any role may set."""
    found = {name: _worst(name, *how) for name, *how in connection.execute(SETTABLE) if name not in SPARED}
    assert CHOSEN.keys() <= found.keys()
    return found


def _worst(name: str, kind: str, usual: str, *range_or_words: Any) -> str:  # noqa: ANN401 - as the server says them
    least, most, words = range_or_words
    if name in CHOSEN:
        return CHOSEN[name]
    if kind == "bool":
        return "off" if usual == "on" else "on"
    if words:
        return next((word for word in words if word != usual), usual)
    assert kind in {"integer", "real"}, f"{name} is neither chosen nor spared"
    return least if least != usual else str(min(1, float(most))).removesuffix(".0")


@contextmanager
def hostile_role(address: str, *, member_of: str = "") -> Iterator[Hostile]:
    """Make a role all of whose defaults are hostile; it is dropped with all that it owns."""
    made = Hostile(f"hostile_{secrets.token_hex(4)}", secrets.token_hex(8))
    with psycopg.connect(address, autocommit=True) as connection:
        create(connection, made, member_of=member_of)
        yield made
        gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = %s)"  # and its temporary tables with it
        assert wait_until(lambda: connection.execute(gone, (made.name,)).fetchone() == (True,), seconds=60), made.name
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(made.name)))


def create(connection: Connection[Any], role: Hostile, *, member_of: str = "") -> None:
    """Create the role with its defaults."""
    groups = f" IN ROLE {member_of}" if member_of else ""
    statement = f"CREATE ROLE {{}} LOGIN CREATEROLE PASSWORD {{}}{groups}"
    connection.execute(sql.SQL(statement).format(sql.Identifier(role.name), sql.Literal(role.password)))
    for name, value in defaults(connection).items():
        set_default(connection, sql.SQL("ROLE {}").format(sql.Identifier(role.name)), name, value)


def set_default(connection: Connection[Any], of: sql.Composable, name: str, value: str) -> None:
    """Set a default of a role, a database, or a role in a database; lists are lists."""
    values = sql.SQL(", ").join(sql.Literal(part) for part in value.split(", "))
    lists = {"DateStyle", "search_path", "temp_tablespaces", "createrole_self_grant"}
    given = values if name in lists else sql.Literal(value)
    connection.execute(sql.SQL("ALTER {} SET {} TO {}").format(of, sql.Identifier(name), given))


def environment(given: Mapping[str, str], role: Hostile) -> dict[str, str]:
    """Let programs work as a role, in a hostile environment."""
    return {**given, **ENVIRONMENT, "PROJECTOR_DATABASE_URL": role.url(given["PROJECTOR_DATABASE_URL"])}
