"""Makes and prepares every connection of every program: its settings are what the code assumes, or it is refused.

The meaning of a statement depends on settings that the server, the database, the role, the environment (`PGOPTIONS`,
`PGDATESTYLE`, `PGTZ`, `PGCLIENTENCODING`) and the address may set; `projector.database.session_settings` lists them.
They are pinned in two steps. First as start-up options, which override server, database and role from the first
statement on and survive `RESET ALL`. Then the session's values are read; those that differ (because `PGDATESTYLE` or
`PGTZ` are start-up options as well, or a pooler dropped ours) are set by a statement, in autocommit so that no rollback
undoes it, and read again. If one still differs, the connection is refused.

For further settings, which decide only speed, call `tune` on a prepared connection. Transactions are READ COMMITTED
unless psycopg's `isolation_level` is changed: each BEGIN names the level.

A pooler may stand between. If it refuses `options` at start-up, the pins are set by statements alone. If it logs in as
another user, the connection is refused. If it gives the server's connection to another client between two transactions,
pins, staging tables and advisory locks would be shared with it: `projector.database.poolers` finds that out, and the
connection is refused.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Timer
from typing import Any, Final

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.rows import tuple_row

from events.runtime.errors import ServiceUnavailableError, StateError
from projector.database import poolers
from projector.database.failures import ConnectionRefusedByServerError, describe_error, server_of
from projector.database.refused_connections import refusal_code
from projector.database.session_settings import REQUIRED, Pin, pinned
from projector.database.sqlstates import INVALID_SETTING, UNSUPPORTED_AT_STARTUP, is_of
from projector.database.statements import statements

SQL: Final = statements("projector.database", "session.sql")
ENCODING: Final = "UTF8"
PREPARE_SECONDS: Final = 10.0  # for the server to answer what a new connection is prepared by, unless told otherwise
NOTHING: Final[Mapping[str, str]] = {}
MEASURED: Final = "plans would differ from those that were measured"


def connect(
    conninfo: str = "",
    *,
    schema: str,
    autocommit: bool = False,
    asked: Mapping[str, str] = NOTHING,
    **parameters: Any,  # noqa: ANN401 - libpq's and psycopg's, passed on
) -> Connection[Any]:
    """Connect, and prepare the connection; close it if that fails.

    Args:
        conninfo: an address of libpq, without `options`.
        schema: whose tables are read and written.
        autocommit: psycopg's, once the connection is prepared.
        asked: session settings from the address, none of them pinned.
        parameters: further parameters of libpq, and psycopg's own.

    Raises:
        psycopg.Error: PostgreSQL cannot be reached, or refuses the connection; with the SQLSTATE if it sent one.
        StateError: the database is not encoded in UTF-8, or PostgreSQL is older than 18.
        ServiceUnavailableError: a setting or the user is not what it has to be and cannot be changed; or a pooler
            shares the session.

    """
    parameters["client_encoding"] = ENCODING
    connection = _opened(conninfo, startup_options(schema, asked), parameters)
    try:
        with _answered_within(connection, float(parameters.get("connect_timeout", 0)) or PREPARE_SECONDS):
            poolers.require_own_session(connection, lambda: psycopg.connect(conninfo, autocommit=True, **parameters))
            prepare(connection, schema, asked)
        connection.autocommit = autocommit
    except BaseException:
        connection.close()
        raise
    return connection


def _opened(conninfo: str, options: str, parameters: dict[str, Any]) -> Connection[Any]:
    """Connect with the options, or without them if a pooler refuses them at start-up."""
    try:
        return psycopg.connect(conninfo, autocommit=True, options=options, **parameters)
    except psycopg.OperationalError as error:
        code = error.sqlstate or refusal_code(conninfo, {**parameters, "options": options}, error)
        if code is None:
            raise
        if code != UNSUPPORTED_AT_STARTUP:
            raise ConnectionRefusedByServerError(error, code) from error
    return psycopg.connect(conninfo, autocommit=True, **parameters)


@contextmanager
def _answered_within(connection: Connection[Any], seconds: float) -> Iterator[None]:
    """Shut a connection down if the server does not answer the block's statements in time: its waiter gets an error.

    libpq's limit ends with the login, and whoever watches connections does not know this one yet.
    """

    def shut_down() -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)

    timer = Timer(seconds, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def startup_options(schema: str, asked: Mapping[str, str] = NOTHING) -> str:
    """Write what is asked for and the pins as libpq's `options`; blanks and backslashes within a value are escaped."""
    values = {**asked, **{name: pin.value for name, pin in _settable(schema).items()}}
    escaped = {name: value.replace("\\", "\\\\").replace(" ", "\\ ") for name, value in values.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def prepare(connection: Connection[Any], schema: str, asked: Mapping[str, str] = NOTHING) -> None:
    """Pin the settings of a connection in autocommit mode, apply those asked for, and check both.

    Raises:
        StateError: the database is not encoded in UTF-8.
        ServiceUnavailableError: a setting has another value than it needs, and cannot be changed.

    """
    _require_encoding(connection)
    wanted = {**pinned(schema), **REQUIRED}
    with _in_one_line(connection):
        found = _differing(connection, wanted)
        if settable := found.keys() - REQUIRED.keys():
            _set(connection, {name: wanted[name].value for name in settable})
            found = _differing(connection, wanted)
        _require_none(connection, found, wanted)
        _have(connection, asked)
    connection.isolation_level = IsolationLevel.READ_COMMITTED


def tune(connection: Connection[Any], settings: Mapping[str, str]) -> None:
    """Set further settings of a prepared connection in autocommit mode, which decide only speed, and check them.

    Raises:
        ServiceUnavailableError: one could not be set.

    """
    wanted = {name: Pin(value, MEASURED) for name, value in settings.items()}
    with _in_one_line(connection):
        _set(connection, settings)
        found = _differing(connection, wanted)
    _require_none(connection, found, wanted)


def _have(connection: Connection[Any], asked: Mapping[str, str]) -> None:
    """Set what is asked for and did not arrive at start-up, because a pooler dropped `options`.

    PostgreSQL shows a value in another form than it was written in (5s for 5000ms), so the value's source is compared.
    """
    if asked:
        with connection.cursor(row_factory=tuple_row) as cursor:
            missing = cursor.execute(SQL["missing"], {"names": list(asked)}).fetchall()
        _set(connection, {name: asked[name] for (name,) in missing})


def _settable(schema: str) -> dict[str, Pin]:
    """Leave out settings that the deployment may choose: start-up options would override its choice."""
    return {name: pin for name, pin in pinned(schema).items() if not pin.also}


def _set(connection: Connection[Any], values: Mapping[str, str]) -> None:
    connection.execute(SQL["pin"], {"names": list(values), "values": list(values.values())})


def _differing(connection: Connection[Any], wanted: Mapping[str, Pin]) -> dict[str, str | None]:
    """Return the settings whose values differ from the wanted ones, with their values."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        values: dict[str, str | None] = dict(cursor.execute(SQL["read_settings"], {"names": list(wanted)}).fetchall())
    return {name: values.get(name) for name, pin in wanted.items() if values.get(name) not in {pin.value, *pin.also}}


def _require_encoding(connection: Connection[Any]) -> None:
    """Refuse a database in another encoding than UTF-8: it could not store every name, or return invalid text."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != ENCODING:
        raise StateError(
            f"PostgreSQL at {server_of(connection)}: the database is encoded in {encoding}, and has to be in "
            f"{ENCODING}: create one with ENCODING '{ENCODING}' TEMPLATE template0, and run `projector init` on that"
        )


def _require_none(connection: Connection[Any], found: Mapping[str, str | None], wanted: Mapping[str, Pin]) -> None:
    for name, value in found.items():
        pin = wanted[name]
        now = "does not exist" if value is None else f"is '{value}'"
        raise ServiceUnavailableError(
            f"PostgreSQL at {server_of(connection)}: the setting {name} {now} for this session, and has to be "
            f"'{pin.value}', or {pin.why}; correct it where it is set: role, database, server or pooler"
        )


@contextmanager
def _in_one_line(connection: Connection[Any]) -> Iterator[None]:
    """Report a setting that PostgreSQL refuses in one line; a lost connection is reported by the caller."""
    try:
        yield
    except psycopg.Error as error:
        if connection.closed or not is_of(error, INVALID_SETTING):
            raise
        where = server_of(connection)
        raise ServiceUnavailableError(f"PostgreSQL at {where} refuses a setting: {describe_error(error)}") from None
