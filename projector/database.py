"""PostgreSQL: one engine a process, every connection inside our schema and with bounded waits."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from events.errors import ServiceUnavailable, SettingError
from events.settings import Settings, required

CONNECT_SECONDS: Final = 10
LOCK_MS: Final = 60_000  # longer than any batch or repair holds a row; what waits longer is stuck
IDLE_IN_TRANSACTION_MS: Final = 60_000  # a paused process must not hold its locks for ever
REFUSED: Final = {
    "42501",  # the role lacks a privilege
    "25006",  # a standby, or a role that may only read
    "55P03",  # a lock was not to be had in time
}
"""SQLSTATEs that say who we are or what else goes on, and nothing about the statement."""


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
    options = {
        "search_path": settings.schema_name,
        "lock_timeout": LOCK_MS,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MS,
        "timezone": "UTC",
        "jit": "off",  # compiling costs more than it saves in statements of milliseconds
    }
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        connect_args={
            "application_name": program,
            "connect_timeout": CONNECT_SECONDS,
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        },
    )


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
    """Turn a failure to connect, or to be let in, into one line that names the server and hides the password."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        if _is_connection_failure(error):
            how = "cannot be reached"
        elif getattr(getattr(error, "orig", error), "sqlstate", None) in REFUSED:
            how = "refuses"
        else:
            raise
        raise ServiceUnavailable(f"PostgreSQL at {address(settings)} {how}: {_first_line(error)}") from None


def address(settings: Settings) -> str:
    """Write the server's address without its password."""
    url = make_url(required(settings, "database_url"))
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def _is_connection_failure(error: Any) -> bool:  # noqa: ANN401 - SQLAlchemy's wrapper or psycopg's own
    if not isinstance(error, OperationalError | psycopg.OperationalError):
        return False
    cause = getattr(error, "orig", error)
    state = getattr(cause, "sqlstate", None)
    return state is None or state[:2] in {"08", "28", "3D", "57", "53"}


def _first_line(error: Any) -> str:  # noqa: ANN401 - as above
    return str(getattr(error, "orig", error)).strip().splitlines()[0]
