"""PostgreSQL: one engine a process, each of whose connections `projector.database.connections` makes and prepares."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from events.runtime.errors import ServiceAway, ServiceUnavailable, SettingError
from events.runtime.settings import Settings, required
from projector.database import connections

CONNECT_SECONDS: Final = 10
ALIVE: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # ms
}
"""A server that lost its power, or its network, says no goodbye: it is given up after some 25 s, not after hours."""
REFUSED: Final = {
    "42501",  # the role lacks a privilege
    "25006",  # a standby, or a role that may only read
}
"""SQLSTATEs that say who we are, and nothing about the statement."""
UNREACHABLE: Final = {"08", "57"}  # connections, shutdowns
TRANSIENT: Final = {*UNREACHABLE, "40", "53", "55"}  # deadlocks, resources such as a full disk, locks not to be had
TIMED_OUT: Final = {"25P03", "25P04"}  # the server ended a transaction that idled, or lasted, too long: we were paused
IN_VAIN: Final = ("FATAL:", "does not support SSL", "certificate", "no password supplied")
"""What tells that connecting failed because somebody answered: libpq gives no SQLSTATE of that."""
PASSING: Final = ("the database system is", "too many clients", "remaining connection slots", "terminating connection")
"""What of that passes by itself: starting, stopping, recovering, full."""


logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)
"""A connection that broke off once its work was done would be told with a traceback; whoever needs the next one tells
in a line, and nobody else has to know."""


def make_engine(settings: Settings, *, program: str) -> Engine:
    """Make the engine; it connects on first use.

    Raises:
        SettingError: where `PROJECTOR_DATABASE_URL` is missing or is no PostgreSQL address.

    """
    given = required(settings, "database_url")
    if given.count("@") > 1:  # the rest of the password would be printed as where the server is, or as an option
        raise SettingError("PROJECTOR_DATABASE_URL: write an @ as %40 unless it stands before the host")
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):  # the second where the port is no number
        raise SettingError("PROJECTOR_DATABASE_URL is not an address like postgresql://user@host:5432/name") from None
    unknown = _unknown_option(url.query)
    if unknown:
        raise SettingError(f"PROJECTOR_DATABASE_URL: PostgreSQL's client has no option {unknown!r}")
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise SettingError("PROJECTOR_DATABASE_URL: the scheme has to be postgresql://")
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text holds no customer's name
        connect_args={"application_name": program, "connect_timeout": CONNECT_SECONDS, **ALIVE},
    )
    event.listen(engine, "do_connect", _connects(settings.schema_name))
    return engine


def _connects(schema: str) -> Callable[..., Connection[Any]]:
    """Return what makes the engine's connections, in place of its own way."""

    def connect(_dialect: object, _record: object, given: Sequence[str], parameters: dict[str, Any]) -> Connection[Any]:
        return connections.connect(*given, schema=schema, **parameters)

    return connect


def _unknown_option(query: Mapping[str, Any]) -> str | None:
    """Find a name after the question mark that libpq does not know: only connecting would tell, in many lines."""
    for name in query:
        try:
            make_conninfo(**{name: "1"})
        except psycopg.ProgrammingError:
            return name
    return None


@contextmanager
def reachable(settings: Settings) -> Iterator[None]:
    """Turn a failure that lies in no statement into one line that names the server and hides the password.

    Raises:
        ServiceAway: it does not answer, or cannot do now what it will without anybody's doing.
        ServiceUnavailable: it does not let us in, or lets us do too little.

    """
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        if _is_away(error):
            raise ServiceAway(f"PostgreSQL at {address(settings)} {_for_now(error)}: {_first_line(error)}") from None
        if _is_connection_failure(error):
            how = "cannot be reached"
        elif _state(error) in REFUSED:
            how = "refuses"
        else:
            raise
        raise ServiceUnavailable(f"PostgreSQL at {address(settings)} {how}: {_first_line(error)}") from None


def address(settings: Settings) -> str:
    """Write the server's address without its password."""
    url = make_url(required(settings, "database_url"))
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def _is_away(error: Any) -> bool:  # noqa: ANN401 - SQLAlchemy's wrapper or psycopg's own
    state = _state(error)
    if state is not None:
        return state[:2] in TRANSIENT or state in TIMED_OUT
    said = _text(error)
    in_vain = any(sign in said for sign in IN_VAIN) and not any(sign in said for sign in PASSING)
    return _is_connection_failure(error) and not in_vain


def _for_now(error: Any) -> str:  # noqa: ANN401 - as above
    state = _state(error)
    return "cannot be reached" if state is None or state[:2] in UNREACHABLE else "refuses for now"


def _is_connection_failure(error: Any) -> bool:  # noqa: ANN401 - as above
    cause, state = getattr(error, "orig", error), _state(error)
    if state is None:
        return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] in {"28", "3D"}


def _state(error: Any) -> str | None:  # noqa: ANN401 - as above
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def _first_line(error: Any) -> str:  # noqa: ANN401 - as above
    return _text(error).splitlines()[0]


def _text(error: Any) -> str:  # noqa: ANN401 - as above
    cause = getattr(error, "orig", error)
    return str(cause).strip() or type(cause).__name__
