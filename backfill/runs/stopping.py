"""SIGTERM and SIGINT pause a run after its current chunk, within the shutdown time.

A chunk takes a fraction of a second, unless one of its statements waits for a lock, or for a server that does not
answer. So a thread watches the shutdown time, `PROJECTOR_SHUTDOWN_SECONDS`. Once it is over:

- the server is asked to cancel the statement that a connection runs within `giving_up_late`, again and again until the
  block is left. The chunk's transaction is rolled back, the chunk is open as before, and the run is paused;
- a connection on which nothing is received a few seconds later is shut down. The server rolls its transaction back by
  itself; the run is as if its process had been killed, and `--resume` resumes it.

Statements outside such a block store that a run is paused; they are not cancelled, and have a little longer. A second
signal ends the process at once. A signal handler only notes the time: the code that it interrupts may hold any lock.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, ClassVar, Final

import psycopg
from psycopg import Connection

from events.runtime.errors import ProgramError, ServiceUnavailableError, StateError
from events.runtime.stop import Stop, stop_on_signals

BUDGET_SECONDS: Final = 20.0  # as `Settings.shutdown_seconds` has it
LOOK_SECONDS: Final = 0.1  # between two checks of the shutdown time
CANCEL_SECONDS: Final = 2.0  # for PostgreSQL to receive a cancel request, and again to cancel
PAUSE_SECONDS: Final = 2.0  # to store that a run is paused


class GivenUpError(ProgramError):
    """The shutdown time ended in the middle of a statement; what the statement did is rolled back."""

    exit_code: ClassVar[int] = 3


@dataclass(eq=False)
class _Watched:
    """A connection of this process, and how far it was given up."""

    connection: Connection[Any]
    lock: Lock = field(default_factory=Lock)  # held while a cancel request is sent, or the connection is closed
    blocks: int = 0  # how many blocks of `giving_up_late` it is in
    attended: bool = False  # a thread sends cancel requests
    cancelled: bool = False
    shut_down: bool = False


_connections: Final[dict[int, _Watched]] = {}
"""By identity, because a connection that was shut down is still looked up."""


class BudgetWatch:
    """The watch over the shutdown time after a stop is requested; called, it tells whether one is."""

    current: ClassVar["BudgetWatch | None"] = None

    def __init__(self, stop: Stop, seconds: float) -> None:
        self._stop = stop
        self._seconds = seconds
        self.shut_down = False  # whether a connection was shut down
        self._ended = Event()

    def __call__(self) -> bool:
        """Tell whether a stop is requested."""
        return self._stop.requested

    def watch(self) -> None:
        """Give up what still runs once the shutdown time is over, until the block of `asked_to_stop` is left."""
        while not self._ended.wait(LOOK_SECONDS):
            late = self._late
            for watched in [*_connections.values()] if late >= 0 else ():
                if watched.blocks and not watched.attended:
                    watched.attended = True
                    Thread(target=self._give_up, args=(watched,), name="giving up", daemon=True).start()
                if late > 2 * CANCEL_SECONDS + (0 if watched.blocks else PAUSE_SECONDS):
                    self.shut_down |= _shut_down(watched)

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()

    @property
    def _late(self) -> float:
        """Seconds since the shutdown time was over; negative before that."""
        at = self._stop.requested_at
        return -1.0 if at is None else monotonic() - at - self._seconds

    def _give_up(self, watched: _Watched) -> None:
        """Ask the server to cancel until the block is left: a connection may be between two statements."""
        while watched.blocks and not (watched.shut_down or self._ended.is_set()):
            with watched.lock, suppress(psycopg.OperationalError):
                if watched.blocks:
                    watched.cancelled = True
                    watched.connection.cancel_safe(timeout=CANCEL_SECONDS)
            self._ended.wait(LOOK_SECONDS)
        watched.attended = False


@contextmanager
def asked_to_stop(seconds: float = BUDGET_SECONDS) -> Iterator[BudgetWatch]:
    """Listen for the signals; an inner block shares the request and the shutdown time of the outer one.

    Raises:
        GivenUpError: the server did not answer within the shutdown time.

    """
    if BudgetWatch.current is not None:
        yield BudgetWatch.current
        return
    with stop_on_signals(second_ends=True) as stop:
        budget = BudgetWatch.current = BudgetWatch(stop, seconds)
        Thread(target=budget.watch, name="stopping", daemon=True).start()
        try:
            yield budget
        except psycopg.Error:
            if not budget.shut_down:
                raise
            raise GivenUpError("stopped by a signal; PostgreSQL did not answer within the shutdown time") from None
        finally:
            budget.end()
            BudgetWatch.current = None


@contextmanager
def watched(connection: Connection[Any]) -> Iterator[None]:
    """Let the shutdown time apply to a connection, from its opening until it is closed."""
    known = _connections[id(connection)] = _Watched(connection)
    try:
        yield
    finally:
        with known.lock:
            del _connections[id(connection)]


@contextmanager
def giving_up_late(connection: Connection[Any]) -> Iterator[None]:
    """Let the server cancel the block's statements once the shutdown time is over.

    Raises:
        GivenUpError: it did.

    """
    known = _connections.get(id(connection))
    if known is None:
        yield
        return
    known.blocks += 1
    try:
        yield
    except (psycopg.Error, StateError, ServiceUnavailableError):  # the latter two describe an error of PostgreSQL
        if not known.cancelled:
            raise
        raise GivenUpError("stopped by a signal; the running statement was cancelled") from None
    finally:
        with known.lock:  # so that no cancel request is in flight any more
            known.blocks -= 1


def given_up(connection: Connection[Any]) -> bool:
    """Tell whether an error of a connection comes from the shutdown time, and not from the statement itself."""
    known = _connections.get(id(connection))
    return known is not None and (known.cancelled or known.shut_down)


def unanswered() -> bool:
    """Tell whether the server did not answer within the shutdown time."""
    return BudgetWatch.current is not None and BudgetWatch.current.shut_down


def _shut_down(watched: _Watched) -> bool:
    """Shut down a connection whose server does not answer, so that its waiter gets an error; tell whether it is."""
    if watched.shut_down or not watched.lock.acquire(blocking=False):
        return False  # a thread still sends a cancel request: at the next check
    try:
        if id(watched.connection) in _connections and not watched.connection.closed:
            watched.shut_down = True
            with (
                suppress(OSError, psycopg.OperationalError),
                socket.socket(fileno=os.dup(watched.connection.fileno())) as end,
            ):
                end.shutdown(socket.SHUT_RDWR)
    finally:
        watched.lock.release()
    return watched.shut_down
