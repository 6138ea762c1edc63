"""The side of a consumer that talks to PostgreSQL: retries a batch whole, and narrows down one that is refused."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any, Final

import psycopg
import stamina
import structlog
from psycopg import Connection
from sqlalchemy import Engine
from sqlalchemy import exc as sqlalchemy_errors

from events.errors import WorkFailed
from events.types import Refusal
from projector import merge
from projector.batch import Batch
from projector.deadline import Deadline
from projector.merge import Applied

TRANSIENT_CLASSES: Final = {"08", "40", "53", "55", "57"}  # connections, deadlocks, resources, locks, shutdowns
TIMED_OUT: Final = {"25P03", "25P04"}  # the server ended a transaction that idled, or lasted, too long: we were paused
CANCEL_SECONDS: Final = 5.0  # for PostgreSQL to hear that a statement is to be given up
RETRY_WAIT_MAX_SECONDS: Final = 5.0  # so that a consumer is back within seconds of PostgreSQL

_log = structlog.get_logger()


class Writer:
    """Applies one batch at a time on a thread and a connection of its own."""

    def __init__(self, engine: Engine, group_id: str) -> None:
        self._engine = engine
        self._group_id = group_id
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._current: Future[Applied] | None = None
        self._connection: Any = None
        self._transaction_ms: float | None = None
        self._stopping = threading.Event()

    def submit(self, batch: Batch) -> Future[Applied]:
        """Begin to apply a batch.

        The future raises `PositionMoved` where another consumer was first, `WorkFailed` where PostgreSQL refuses
        for a reason that lies neither in an event nor in the moment.
        """
        self._current = self._thread.submit(self._write, batch)
        return self._current

    def close(self, deadline: Deadline) -> None:
        """Stop retrying, let a running batch end within the budget, else have it rolled back; disconnect."""
        self._stopping.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._current is not None:
            wait_for([self._current], deadline.remaining_seconds)
            if not self._current.done() and self._connection is not None:
                self._connection.driver_connection.cancel_safe(timeout=CANCEL_SECONDS)
        self._thread.shutdown(wait=True)
        self._disconnect()

    def _write(self, batch: Batch) -> Applied:
        try:
            for attempt in stamina.retry_context(
                on=self._worth_a_retry, attempts=None, timeout=None, wait_max=RETRY_WAIT_MAX_SECONDS
            ):
                with attempt:
                    return self._narrow(self._connected(), batch)
        except psycopg.Error as error:
            raise WorkFailed(f"PostgreSQL refused a batch: {sentence(error)}") from error
        raise AssertionError("unreachable: attempts are not limited")

    def _worth_a_retry(self, error: Exception) -> bool:
        if isinstance(error, sqlalchemy_errors.DBAPIError):  # connecting goes through the engine
            return not self._stopping.is_set()
        if not isinstance(error, psycopg.Error) or self._stopping.is_set():
            return False
        state = error.sqlstate
        if state is not None and state[:2] not in TRANSIENT_CLASSES and state not in TIMED_OUT:
            return False
        if self._connection is not None and self._connection.driver_connection.closed:
            self._disconnect()
        return True

    def _narrow(self, connection: Connection[Any], batch: Batch) -> Applied:
        """Apply a batch; where PostgreSQL refuses its content, halve it until the event at fault stands alone."""
        try:
            return self._apply(connection, batch)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            refusal = Refusal("refused-by-database", sentence(error))
        if len(batch.items) <= 1:
            _log.warning("event refused by PostgreSQL", detail=refusal.detail, place=batch.ends)
            return self._apply(connection, batch.refused(refusal))
        first, second = batch.halves()
        return self._narrow(connection, first) + self._narrow(connection, second)

    def _apply(self, connection: Connection[Any], batch: Batch) -> Applied:
        """Apply a batch, and leave word of how long the one before took: an auditor gives way when that grows."""
        began = time.monotonic()
        applied = merge.apply(connection, batch, self._group_id, transaction_ms=self._transaction_ms)
        self._transaction_ms = round((time.monotonic() - began) * 1000, 1)
        return applied

    def _connected(self) -> Connection[Any]:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            merge.prepare(self._connection.driver_connection)
        connection: Connection[Any] = self._connection.driver_connection
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection = None


def sentence(error: psycopg.Error) -> str:
    """Write PostgreSQL's message and detail, without the statement."""
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    return f"{error.diag.message_primary or error}{detail}".strip()
