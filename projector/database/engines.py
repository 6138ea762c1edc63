"""PostgreSQL: one engine a process, each of whose connections `projector.database.connections` makes and prepares."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo
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
        connect_args={"application_name": program, "connect_timeout": CONNECT_SECONDS, **KEEPALIVE_OPTIONS},
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
