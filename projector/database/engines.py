"""One engine for each process; `projector.database.connections` makes and prepares its connections.

SQLAlchemy ends here: it pools connections and serves Alembic. Everything else uses psycopg's own connection.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection as PooledConnection
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from events.runtime.errors import SettingError
from events.runtime.settings import Settings, required
from projector.database import connections

CONNECT_SECONDS: Final = 10
KEEPALIVE_OPTIONS: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # ms
}
"""A server that lost power or network closes no connection: give it up after about 25 s, not after hours."""

logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)
"""Where an idle connection broke, the pool logs a traceback; the next statement reports the same in one line."""


def make_engine(settings: Settings, *, program: str) -> Engine:
    """Make the engine; it connects on first use.

    Raises:
        SettingError: `PROJECTOR_DATABASE_URL` is missing, or not a PostgreSQL address.

    """
    given = required(settings, "database_url")
    if given.count("@") > 1:  # the rest of the password would be printed as the host, or as an option
        raise SettingError("PROJECTOR_DATABASE_URL: write an @ as %40 unless it stands before the host")
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        raise SettingError("PROJECTOR_DATABASE_URL is not an address like postgresql://user@host:5432/name") from None
    unknown = _unknown_option(url.query)
    if unknown:
        raise SettingError(f"PROJECTOR_DATABASE_URL: PostgreSQL's client has no option {unknown!r}")
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise SettingError("PROJECTOR_DATABASE_URL: the scheme has to be postgresql://")
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        hide_parameters=True,  # parameters may hold customers' names
        connect_args={"application_name": program, "connect_timeout": CONNECT_SECONDS, **KEEPALIVE_OPTIONS},
    )
    event.listen(engine, "do_connect", _connects(settings.schema_name))
    return engine


def _connects(schema: str) -> Callable[..., Connection[Any]]:
    """Return the function that makes the engine's connections, in place of SQLAlchemy's own."""

    def connect(_dialect: object, _record: object, given: Sequence[str], parameters: dict[str, Any]) -> Connection[Any]:
        return connections.connect(*given, schema=schema, **parameters)

    return connect


def _unknown_option(query: Mapping[str, Any]) -> str | None:
    """Find a name after the question mark that libpq does not know; connecting would report it in many lines."""
    for name in query:
        try:
            make_conninfo(**{name: "1"})
        except psycopg.ProgrammingError:
            return name
    return None


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection[Any]]:
    """Lend a pooled connection for one transaction, committed at the end of the block and rolled back if it raises.

    Raises:
        psycopg.Error: PostgreSQL cannot be reached, or refuses.

    """
    pooled = engine.raw_connection()
    try:
        connection = cast("Connection[Any]", pooled.driver_connection)
        with connection.transaction():
            yield connection
    finally:
        pooled.close()


@contextmanager
def own_session(engine: Engine) -> Iterator[Connection[Any]]:
    """Lend a connection to one piece of work and close it afterwards, with its temporary tables, locks and settings.

    Each `transaction()` block on it is a transaction, never a savepoint.
    """
    pooled = engine.raw_connection()
    try:
        connection = cast("Connection[Any]", pooled.driver_connection)
        connection.autocommit = True
        yield connection
    finally:
        pooled.invalidate()


def driver_of(pooled: PooledConnection) -> Connection[Any]:
    """Return psycopg's connection below SQLAlchemy's."""
    return cast("Connection[Any]", pooled.connection.driver_connection)
