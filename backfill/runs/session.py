"""The auditor's connections: scratch tables, two kinds of transaction, and what is retried."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import stamina
from psycopg import Connection, IsolationLevel
from sqlalchemy import Engine

from backfill.runs.stopping import watched
from events.runtime.settings import Settings
from projector.database.connections import tune
from projector.database.engines import make_engine, own_session
from projector.database.failures import translate_database_errors
from projector.database.sqlstates import CONFLICTS
from projector.database.statements import statements
from projector.deployment import identity

CREATE_SCRATCH: Final = statements("backfill.runs", "scratch.sql")["create_scratch"]
SIZES: Final = {
    "work_mem": "32MB",  # a chunk's joins and sums stay in memory
    "max_parallel_workers_per_gather": "0",  # a check must not take the consumers' cores
}
ATTEMPTS: Final = 8

Result = TypeVar("Result")


@contextmanager
def ready(settings: Settings) -> Iterator[Engine]:
    """Open the database whose schema is this program's.

    Raises:
        ServiceUnavailableError: it cannot be reached.
        StateError: its schema is missing or of another version.
        SettingError: a setting is not what the deployment was set up with.

    """
    engine = make_engine(settings, program="backfill")
    try:
        with translate_database_errors(settings):
            identity.require(engine, settings)
            yield engine
    finally:
        engine.dispose()


@contextmanager
def session(engine: Engine) -> Iterator[Connection[Any]]:
    """Open a connection with scratch tables; with it end its locks and its tables."""
    with plain(engine) as connection:
        tune(connection, SIZES)
        with connection.transaction():
            connection.execute(CREATE_SCRATCH)
        yield connection


@contextmanager
def plain(engine: Engine) -> Iterator[Connection[Any]]:
    """Open a connection without scratch tables."""
    with own_session(engine) as connection:
        connection.prepare_threshold = None  # chunks differ: plan each statement for its values
        with watched(connection):
            yield connection


@contextmanager
def snapshot(connection: Connection[Any]) -> Iterator[None]:
    """Open a transaction that sees history and projection as of one moment."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            yield
    finally:
        if not connection.closed:
            connection.isolation_level = IsolationLevel.READ_COMMITTED


def retried(transaction: Callable[[], Result]) -> Result:
    """Carry out a whole transaction, and again after a deadlock or a serialization failure."""
    return stamina.retry(on=CONFLICTS, attempts=ATTEMPTS, wait_initial=0.02, wait_max=1.0)(transaction)()
