"""PostgreSQL: one engine a process, every connection inside our schema and with bounded waits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from events.errors import ServiceUnavailable, SettingError
from events.settings import Settings, required

CONNECT_SECONDS: Final = 10
LOCK_MS: Final = 60_000  # longer than any batch or repair holds a row; what waits longer is stuck
IDLE_IN_TRANSACTION_MS: Final = 60_000  # a paused process must not hold its locks for ever


def make_engine(settings: Settings, *, program: str) -> Engine:
    """Make the engine; it connects on first use.

    Raises:
        SettingError: where `PROJECTOR_DATABASE_URL` is missing or is no PostgreSQL address.

    """
    try:
        url = make_url(required(settings, "database_url"))
    except (ArgumentError, ValueError):  # the second where the port is no number
        raise SettingError("PROJECTOR_DATABASE_URL is not an address like postgresql://user@host:5432/name") from None
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


@contextmanager
def reachable(settings: Settings) -> Iterator[None]:
    """Turn a failure to connect into one line that names the server and hides the password."""
    try:
        yield
    except (OperationalError, psycopg.OperationalError) as error:
        if not _is_connection_failure(error):
            raise
        raise ServiceUnavailable(f"PostgreSQL at {address(settings)} cannot be reached: {_first_line(error)}") from None


def address(settings: Settings) -> str:
    """Write the server's address without its password."""
    url = make_url(required(settings, "database_url"))
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def _is_connection_failure(error: Any) -> bool:  # noqa: ANN401 - SQLAlchemy's wrapper or psycopg's own
    cause = getattr(error, "orig", error)
    state = getattr(cause, "sqlstate", None)
    return state is None or state[:2] in {"08", "28", "3D", "57", "53"}


def _first_line(error: Any) -> str:  # noqa: ANN401 - as above
    return str(getattr(error, "orig", error)).strip().splitlines()[0]
