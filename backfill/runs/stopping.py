"""SIGTERM and SIGINT ask a run to pause after the chunk at hand, for which they leave a budget of time.

A chunk takes a fraction of a second, unless one of its statements waits for somebody's lock, or for a server that does
not answer. So the budget, `PROJECTOR_SHUTDOWN_SECONDS`, is kept by a thread that watches. Where it is used up:

- the server is asked to give up whatever statement a connection runs within `giving_up_late`, again and again until
  the block is left. The chunk's transaction is rolled back, the chunk is open as before, and the run is paused;
- a connection on which nothing is heard a few seconds later is shut down. What was under way in it the server rolls
  back by itself; the run stands as if its process had been killed, and `--resume` goes on with it.

Statements outside of such a block write down that a run is paused; they are not given up, and have a little longer.
A second signal ends the process at once. A signal handler does nothing but to note the time: whatever it interrupts
may hold any lock.
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

from events.runtime.errors import ProgramError, ServiceUnavailable, StateError
from events.runtime.stop import Stop, stop_on_signals

BUDGET_SECONDS: Final = 20.0  # as `Settings.shutdown_seconds` has it
LOOK_SECONDS: Final = 0.1  # between two looks at whether the budget is used up
CANCEL_SECONDS: Final = 2.0  # for PostgreSQL to hear that a statement is to be given up, and again to give it up
PAUSE_SECONDS: Final = 2.0  # to write down that a run is paused


class GivenUpError(ProgramError):
    """A signal's budget was used up in the middle of a statement; what that did is rolled back."""

    exit_code: ClassVar[int] = 3


@dataclass(eq=False)
class _Watched:
    """A connection of this process, and how far it was given up."""

    connection: Connection[Any]
    lock: Lock = field(default_factory=Lock)  # held while somebody speaks about it to the server, or closes it
    blocks: int = 0  # of `giving_up_late` that it is in
    attended: bool = False  # a thread is asking the server
    cancelled: bool = False
    shut_down: bool = False


_connections: Final[dict[int, _Watched]] = {}
"""By identity: a connection that is shut down is still to be asked for."""


class BudgetWatch:
    """The watch over the budget of a requested stop; called, it tells whether a stop is requested."""

    current: ClassVar["BudgetWatch | None"] = None

    def __init__(self, stop: Stop, seconds: float) -> None:
        self._stop = stop
        self._seconds = seconds
        self.shut_down = False  # some connection, on which nothing was heard
        self._ended = Event()

    def __call__(self) -> bool:
        """Tell whether a stop is requested."""
        return self._stop.requested

    def watch(self) -> None:
        """Give up what still runs once the budget is used up, until the block of `asked_to_stop` is left."""
        while not self._ended.wait(LOOK_SECONDS):
            late = self._late
            for watched in [*_connections.values()] if late >= 0 else ():
                if watched.blocks and not watched.attended:
                    watched.attended = True
                    Thread(target=self._give_up, args=(watched,), name="giving up", daemon=True).start()
                if late > 2 * CANCEL_SECONDS + (0 if watched.blocks else PAUSE_SECONDS):
                    self.shut_down |= _shut_down(watched)

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()

    @property
    def _late(self) -> float:
        """Seconds since the budget was used up; negative where it was not."""
        at = self._stop.requested_at
        return -1.0 if at is None else monotonic() - at - self._seconds

    def _give_up(self, watched: _Watched) -> None:
        """Ask the server until the block is left: a connection may just be between two statements."""
        while watched.blocks and not (watched.shut_down or self._ended.is_set()):
            with watched.lock, suppress(psycopg.OperationalError):
                if watched.blocks:
                    watched.cancelled = True
                    watched.connection.cancel_safe(timeout=CANCEL_SECONDS)
            self._ended.wait(LOOK_SECONDS)
        watched.attended = False


@contextmanager
def asked_to_stop(seconds: float = BUDGET_SECONDS) -> Iterator[BudgetWatch]:
    """Listen for the signals; within another such block, share its request and its budget.

    Raises:
        GivenUpError: the server did not answer within the budget.

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
            raise GivenUpError("stopped by a signal; PostgreSQL did not answer within the budget") from None
        finally:
            budget.end()
            BudgetWatch.current = None


@contextmanager
def watched(connection: Connection[Any]) -> Iterator[None]:
    """Let a signal's budget count for a connection, from its opening to before it is closed."""
    known = _connections[id(connection)] = _Watched(connection)
    try:
        yield
    finally:
        with known.lock:
            del _connections[id(connection)]


@contextmanager
def giving_up_late(connection: Connection[Any]) -> Iterator[None]:
    """Let the server give up the block's statements once a signal's budget is used up.

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
    except (psycopg.Error, StateError, ServiceUnavailable):  # the latter two say an error of PostgreSQL's in a line
        if not known.cancelled:
            raise
        raise GivenUpError("stopped by a signal; the statement that ran was given up") from None
    finally:
        with known.lock:  # so that no wish to give up is on its way any more
            known.blocks -= 1


def given_up(connection: Connection[Any]) -> bool:
    """Tell whether an error of a connection comes from a signal's budget, and not from what was asked of the server."""
    known = _connections.get(id(connection))
    return known is not None and (known.cancelled or known.shut_down)


def unanswered() -> bool:
    """Tell whether the server did not answer within a signal's budget."""
    return BudgetWatch.current is not None and BudgetWatch.current.shut_down


def _shut_down(watched: _Watched) -> bool:
    """Listen no longer to a server that does not answer: who waits for it gets an error. Say whether it was so."""
    if watched.shut_down or not watched.lock.acquire(blocking=False):
        return False  # a thread is still asking the server: the next look
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
