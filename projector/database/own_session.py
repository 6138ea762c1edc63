"""A connection for one piece of work alone: staging tables, for instance, would be in the way of a pool's next user."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from psycopg import Connection
from sqlalchemy import Engine

from events.runtime.errors import WorkFailed
from projector.database.failures import describe_error
from projector.database.sqlstates import CONNECTION_LOST, is_of


@contextmanager
def own_session(engine: Engine) -> Iterator[Connection[Any]]:
    """Take a connection of the engine, on which each transaction block is a transaction, and close it afterwards.

    Raises:
        WorkFailed: PostgreSQL refused something of the work.
        psycopg.Error: the connection was lost.

    """
    pooled = engine.raw_connection()
    try:
        connection = cast("Connection[Any]", pooled.driver_connection)
        connection.autocommit = True
        yield connection
    except psycopg.Error as error:
        if error.sqlstate is None or is_of(error, CONNECTION_LOST):
            raise
        raise WorkFailed(
            f"PostgreSQL refused: {describe_error(error, detail=True)}; what was committed before stays"
        ) from error
    finally:
        pooled.invalidate()
