"""Every connection of every program is made and prepared here: it is what the code assumes, or it is refused.

What a statement means depends on settings that the server, the database, the role, the environment (`PGOPTIONS`,
`PGDATESTYLE`, `PGTZ`, `PGCLIENTENCODING`) and the address may set; `projector.database.session_settings` says which
matter. They are pinned twice. Options of the connection's start-up count for more than what server, database and role
say, from the first statement on, and survive a `RESET ALL`. The session is then looked at, and what differs (because
`PGDATESTYLE` or `PGTZ` wrote into the start-up as well, or a pooler dropped the options) is set by a statement, in
autocommit so that no rollback takes it back, and looked at again. What still differs is refused.

Whoever needs further settings, for speed, calls `tune` on a prepared connection. A transaction that is to see a single
snapshot asks for it by psycopg's `isolation_level`, which is otherwise READ COMMITTED: each BEGIN says so.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.rows import tuple_row

from events.runtime.errors import ServiceUnavailable, StateError
from projector.database.failures import describe_error
from projector.database.session_settings import REQUIRED, Pin, pinned
from projector.database.sqlstates import INVALID_SETTING, is_of
from projector.database.statements import statements

SQL: Final = statements("projector.database", "session.sql")
ENCODING: Final = "UTF8"
MEASURED: Final = "plans would be others than those that were measured"


def connect(conninfo: str = "", *, schema: str, autocommit: bool = False, **parameters: Any) -> Connection[Any]:  # noqa: ANN401 - libpq's and psycopg's, handed on
    """Connect, and prepare the connection; it is closed where that fails.

    Raises:
        psycopg.Error: PostgreSQL cannot be reached, or does not let us in.
        StateError: the database is not encoded in UTF-8.
        ServiceUnavailable: a setting is not what it has to be, and cannot be made so.

    """
    own = {"client_encoding": ENCODING, "options": startup_options(schema)}
    connection = psycopg.connect(conninfo, autocommit=True, **{**parameters, **own})
    try:
        prepare(connection, schema)
        connection.autocommit = autocommit
    except BaseException:
        connection.close()
        raise
    return connection


def startup_options(schema: str) -> str:
    """Write the pins as libpq's `options`; blanks and backslashes within a value are escaped."""
    values = {name: pin.value.replace("\\", "\\\\").replace(" ", "\\ ") for name, pin in _settable(schema).items()}
    return " ".join(f"-c {name}={value}" for name, value in values.items())


def prepare(connection: Connection[Any], schema: str) -> None:
    """Pin a connection in autocommit, and look whether that took.

    Raises:
        StateError: the database is not encoded in UTF-8.
        ServiceUnavailable: a setting is not what it has to be, and cannot be made so.

    """
    _require_encoding(connection)
    wanted = {**pinned(schema), **REQUIRED}
    with _in_one_line(connection):
        found = _differing(connection, wanted)
        if settable := found.keys() - REQUIRED.keys():
            _set(connection, {name: wanted[name].value for name in settable})
            found = _differing(connection, wanted)
    _require_none(connection, found, wanted)
    connection.isolation_level = IsolationLevel.READ_COMMITTED


def tune(connection: Connection[Any], settings: Mapping[str, str]) -> None:
    """Give a prepared connection in autocommit further settings, which decide how fast it is.

    Raises:
        ServiceUnavailable: one did not take.

    """
    wanted = {name: Pin(value, MEASURED) for name, value in settings.items()}
    with _in_one_line(connection):
        _set(connection, settings)
        found = _differing(connection, wanted)
    _require_none(connection, found, wanted)


def _settable(schema: str) -> dict[str, Pin]:
    """Leave out what the deployment has a choice in: its start-up options would be that choice."""
    return {name: pin for name, pin in pinned(schema).items() if not pin.also}


def _set(connection: Connection[Any], values: Mapping[str, str]) -> None:
    connection.execute(SQL["pin"], {"names": list(values), "values": list(values.values())})


def _differing(connection: Connection[Any], wanted: Mapping[str, Pin]) -> dict[str, str | None]:
    """Look at settings; return those that are not as wanted, with what they are."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        values: dict[str, str | None] = dict(cursor.execute(SQL["look"], {"names": list(wanted)}).fetchall())
    return {name: values.get(name) for name, pin in wanted.items() if values.get(name) not in {pin.value, *pin.also}}


def _require_encoding(connection: Connection[Any]) -> None:
    """Refuse a database whose text is anything but UTF-8: it could hold names that are no text, or not hold ours."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != ENCODING:
        raise StateError(
            f"PostgreSQL at {_place(connection)}: the database is encoded in {encoding}, and has to be in {ENCODING}: "
            f"create one with ENCODING '{ENCODING}' TEMPLATE template0, and run `projector init` on that"
        )


def _require_none(connection: Connection[Any], found: Mapping[str, str | None], wanted: Mapping[str, Pin]) -> None:
    for name, value in found.items():
        pin = wanted[name]
        now = "does not exist" if value is None else f"is '{value}'"
        raise ServiceUnavailable(
            f"PostgreSQL at {_place(connection)}: the setting {name} {now} for this session, and has to be "
            f"'{pin.value}', or {pin.why}; mend what sets it: role, database, server, or a pooler between"
        )


@contextmanager
def _in_one_line(connection: Connection[Any]) -> Iterator[None]:
    """Say what PostgreSQL does not let us set; a connection that broke is somebody else's to tell."""
    try:
        yield
    except psycopg.Error as error:
        if connection.closed or not is_of(error, INVALID_SETTING):
            raise
        where = _place(connection)
        raise ServiceUnavailable(f"PostgreSQL at {where} refuses a setting: {describe_error(error)}") from None


def _place(connection: Connection[Any]) -> str:
    info = connection.info
    return f"{info.host or 'localhost'}:{info.port}/{info.dbname}"
