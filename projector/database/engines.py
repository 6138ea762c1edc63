"""One engine for each process; `projector.database.connections` makes and prepares its connections.

SQLAlchemy ends here: it pools connections and serves Alembic. Everything else uses psycopg's own connection.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from psycopg import Connection
from sqlalchemy import Connection as PooledConnection
from sqlalchemy import Engine, create_engine

from events.runtime.settings import Settings
from projector.database import connections
from projector.database.address import read_address

CONNECT_SECONDS: Final = 10
KEEPALIVE_OPTIONS: Final = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",  # ms
}
"""A server that lost power or network closes no connection: give it up after about 25 s, not after hours."""

logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)
"""Where an idle connection broke, the pool logs a traceback; the next statement reports the same in one line."""


def make_engine(settings: Settings, *, program: str) -> Engine:
    """Make the engine; it connects on first use.

    Raises:
        SettingError: `PROJECTOR_DATABASE_URL` is missing, is no address, or asks for what no program does.

    """
    address = read_address(settings)
    parameters: dict[str, Any] = {"connect_timeout": str(CONNECT_SECONDS), **KEEPALIVE_OPTIONS, **address.parameters}

    def connect() -> Connection[Any]:
        return connections.connect(
            schema=settings.schema_name, asked=address.asked, application_name=program, **parameters
        )

    return create_engine(
        "postgresql+psycopg://",
        creator=connect,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text holds no customer's name
    )


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
