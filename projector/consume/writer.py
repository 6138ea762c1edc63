"""Applies batches to PostgreSQL on its own thread and connection: retries whole batches, bisects refused ones."""

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import psycopg
import structlog
from psycopg import Connection
from sqlalchemy import Engine

from events.runtime.deadline import Deadline
from events.runtime.errors import ServiceTemporarilyUnavailableError, WorkFailedError
from events.runtime.settings import Settings
from projector.consume import clock, merge, stop_reasons
from projector.consume.applied import NOTHING, Applied
from projector.consume.batch import Batch
from projector.consume.observer import BatchObserver, Laps
from projector.consume.refusals import Refusals
from projector.consume.retry import retry_attempts
from projector.database.bisect import bisect
from projector.database.failures import describe_error, translate_database_errors
from projector.database.sqlstates import sqlstate_of

CANCEL_SECONDS: Final = 2.0  # for PostgreSQL to receive a request to cancel, and as long again to end the statement

_log = structlog.get_logger()

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class InFlightBatch:
    """A batch that the writer is applying."""

    batch: Batch
    future: Future[Applied]
    since: float


class Writer:
    """Applies one batch at a time, and moves the clock of assignments between two of them."""

    def __init__(self, engine: Engine, settings: Settings, observers: Sequence[BatchObserver] = ()) -> None:
        self._engine = engine
        self._observers = observers
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._submitted: list[Future[Any]] = []
        self._pooled: Any = None
        self._transaction_ms: float | None = None
        self._draining = threading.Event()

    def submit(self, batch: Batch) -> Future[Applied]:
        """Begin to apply a batch.

        The future raises `PositionMovedError` if another consumer owns a partition, `WorkFailedError` if PostgreSQL
        refuses the batch for a reason that lies in no event and is not temporary, `ServiceUnavailableError` if it
        refuses the login or a privilege is missing, and `ServiceTemporarilyUnavailableError` if it is unavailable while
        the consumer drains.
        """
        refusals = Refusals(batch)
        return self._submit(lambda connection: self._bisect(connection, batch, refusals))

    def advance_clock(self) -> Future[float]:
        """Begin to move the clock, if an assignment is due; returns after how many seconds to look again.

        The future raises what that of a batch does.
        """
        return self._submit(clock.advance)

    def forget_stops(self) -> Future[None]:
        """Begin to forget why consumers of the group stopped; what is wrong with it is wrong with the next batch."""
        return self._submit(lambda connection: stop_reasons.forget(connection, self._settings.group_id))

    def drain(self) -> None:
        """Stop retrying while PostgreSQL is unavailable; unapplied messages are re-read at the next start."""
        self._draining.set()

    def close(self, deadline: Deadline) -> None:
        """Stop retrying, wait for the current action within the budget, abort it after that, and disconnect.

        What waits behind the current action, as a batch does behind the forgetting of stops, is not begun.
        """
        self.drain()
        self._thread.shutdown(wait=False, cancel_futures=True)
        current = self._not_done()  # a cancelled one is done
        seconds = deadline.remaining_seconds
        while wait_for(current, seconds).not_done:
            if (pooled := self._pooled) is not None:
                self._abort(pooled.driver_connection, current)
            seconds = CANCEL_SECONDS  # it may have been connecting
        self._thread.shutdown(wait=True)
        self._disconnect()

    def _submit(self, action: Callable[[Connection[Any]], Answer]) -> Future[Answer]:
        submitted = self._thread.submit(self._write, action)
        self._submitted = [*self._not_done(), submitted]
        return submitted

    def _not_done(self) -> list[Future[Any]]:
        return [future for future in self._submitted if not future.done()]

    def _write(self, action: Callable[[Connection[Any]], Answer]) -> Answer:
        try:
            for attempt in retry_attempts(self._worth_a_retry):
                with attempt, translate_database_errors(self._settings):
                    return action(self._connected())
        except psycopg.Error as error:
            raise WorkFailedError(f"PostgreSQL refused a batch: {describe_error(error, detail=True)}") from error
        raise AssertionError("unreachable: attempts are not limited")

    def _worth_a_retry(self, error: Exception) -> bool:
        """Tell whether to retry, on a new connection: one that failed during a COPY may be out of step."""
        self._disconnect()
        again = isinstance(error, ServiceTemporarilyUnavailableError) and not self._draining.is_set()
        if again:
            for observer in self._observers:
                observer.retried(sqlstate_of(error.__context__))
        return again

    def _bisect(self, connection: Connection[Any], batch: Batch, refusals: Refusals) -> Applied:
        """Apply a batch; if PostgreSQL refuses it, halve it until only the events at fault are refused."""
        parts = bisect(
            batch,
            lambda part: self._apply(connection, part),
            halve=lambda part: part.halves() if len(part.items) > 1 else None,
            refuse=lambda part, error: self._apply(connection, refusals.refuse(connection, part, error)),
            lies_in_part=refusals.may_lie_in_an_event,
        )
        return sum(parts, NOTHING)

    def _apply(self, connection: Connection[Any], batch: Batch) -> Applied:
        """Apply a batch, and store how long the previous one took: an auditor throttles when that grows."""
        began, laps = time.monotonic(), Laps()
        applied = merge.apply(connection, batch, self._settings.group_id, transaction_ms=self._transaction_ms, lap=laps)
        self._transaction_ms = round((time.monotonic() - began) * 1000, 1)
        for observer in self._observers:
            observer.committed(batch, applied, laps)
        return applied

    def _connected(self) -> Connection[Any]:
        if self._pooled is None:
            pooled: Any = self._engine.raw_connection()
            try:
                merge.prepare(pooled.driver_connection)
            except psycopg.Error:
                pooled.invalidate()
                raise
            self._pooled = pooled
        connection: Connection[Any] = self._pooled.driver_connection
        return connection

    def _abort(self, connection: Connection[Any], current: list[Future[Any]]) -> None:
        """Ask the server to cancel the statement; if it does not answer either, shut the socket down."""
        with suppress(psycopg.OperationalError):
            connection.cancel_safe(timeout=CANCEL_SECONDS)
        if wait_for(current, CANCEL_SECONDS).not_done:
            with suppress(OSError, psycopg.OperationalError), socket.socket(fileno=os.dup(connection.fileno())) as end:
                end.shutdown(socket.SHUT_RDWR)

    def _disconnect(self) -> None:
        if self._pooled is not None:
            self._pooled.invalidate()
            self._pooled = None
