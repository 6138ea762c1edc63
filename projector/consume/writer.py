"""The side of a consumer that talks to PostgreSQL: retries a batch whole, and narrows down one that is refused."""

import os
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection
from sqlalchemy import Engine

from events.contract.types import Refusal
from events.runtime.deadline import Deadline
from events.runtime.errors import ServiceTemporarilyUnavailable, WorkFailed
from events.runtime.settings import Settings
from projector.consume import merge
from projector.consume.batch import Batch
from projector.consume.merge import Applied
from projector.database.failures import describe_error, translate_database_errors
from projector.database.retry import retry_attempts

CANCEL_SECONDS: Final = 2.0  # for PostgreSQL to hear that a statement is to be given up, and again to give it up

_log = structlog.get_logger()


class Writer:
    """Applies one batch at a time on a thread and a connection of its own."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._current: Future[Applied] | None = None
        self._connection: Any = None
        self._transaction_ms: float | None = None
        self._draining = threading.Event()

    def submit(self, batch: Batch) -> Future[Applied]:
        """Begin to apply a batch.

        The future raises `PositionMoved` where another consumer was first, `WorkFailed` where PostgreSQL refuses
        for a reason that lies neither in an event nor in the moment, `ServiceUnavailable` where it does not let us in,
        `ServiceTemporarilyUnavailable` where it is away in a drain.
        """
        self._current = self._thread.submit(self._write, batch)
        return self._current

    def drain(self) -> None:
        """No longer wait for a PostgreSQL that is away: what was read is read again next time."""
        self._draining.set()

    def close(self, deadline: Deadline) -> None:
        """Stop retrying, let a running batch end within the budget, else have it rolled back; disconnect."""
        self.drain()
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._current is not None:
            wait_for([self._current], deadline.remaining_seconds)
            if not self._current.done() and self._connection is not None:
                self._abort(self._connection.driver_connection)
        self._thread.shutdown(wait=True)
        self._disconnect()

    def _write(self, batch: Batch) -> Applied:
        try:
            for attempt in retry_attempts(self._worth_a_retry):
                with attempt, translate_database_errors(self._settings):
                    return self._bisect(self._connected(), batch)
        except psycopg.Error as error:
            raise WorkFailed(f"PostgreSQL refused a batch: {describe_error(error, detail=True)}") from error
        raise AssertionError("unreachable: attempts are not limited")

    def _worth_a_retry(self, error: Exception) -> bool:
        """Say whether to try again, on a new connection: one that failed amid a COPY may be out of step."""
        self._disconnect()
        return isinstance(error, ServiceTemporarilyUnavailable) and not self._draining.is_set()

    def _bisect(self, connection: Connection[Any], batch: Batch) -> Applied:
        """Apply a batch; where PostgreSQL refuses its content, halve it until the event at fault stands alone."""
        try:
            return self._apply(connection, batch)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            refusal = Refusal("refused-by-database", describe_error(error, detail=True))
        if len(batch.items) <= 1:
            _log.warning("event refused by PostgreSQL", detail=refusal.detail, place=batch.end_offsets)
            return self._apply(connection, batch.refused(refusal))
        first, second = batch.halves()
        return self._bisect(connection, first) + self._bisect(connection, second)

    def _apply(self, connection: Connection[Any], batch: Batch) -> Applied:
        """Apply a batch, and leave word of how long the one before took: an auditor gives way when that grows."""
        began = time.monotonic()
        applied = merge.apply(connection, batch, self._settings.group_id, transaction_ms=self._transaction_ms)
        self._transaction_ms = round((time.monotonic() - began) * 1000, 1)
        return applied

    def _connected(self) -> Connection[Any]:
        if self._connection is None:
            made: Any = self._engine.raw_connection()
            try:
                merge.prepare(made.driver_connection)
            except psycopg.Error:
                made.invalidate()
                raise
            self._connection = made
        connection: Connection[Any] = self._connection.driver_connection
        return connection

    def _abort(self, connection: Connection[Any]) -> None:
        """Have a statement given up by the server; where that does not answer either, stop listening to it."""
        with suppress(psycopg.OperationalError):
            connection.cancel_safe(timeout=CANCEL_SECONDS)
        if self._current is not None and wait_for([self._current], CANCEL_SECONDS).not_done:
            with suppress(OSError, psycopg.OperationalError), socket.socket(fileno=os.dup(connection.fileno())) as end:
                end.shutdown(socket.SHUT_RDWR)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection = None
