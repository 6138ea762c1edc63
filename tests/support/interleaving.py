"""Two transactions, each held after the statement a test chooses, so that a race is played rather than hoped for."""

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from time import monotonic
from typing import Any, Final, Literal, Self

from psycopg import Cursor
from sqlalchemy import Connection, Engine, text

from tests.support.examples import CloudEvent
from tests.support.merge_harness import MergeHarness

PATIENCE_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.002
NEVER: Final = 1_000_000
STATEMENTS_MAX: Final = 14
"""No batch runs more statements; held after its last one, a transaction has done everything but commit."""

Rest = Literal["held", "waiting", "done"]


class Held:
    """A batch that is being applied in a thread and stops after its n-th statement until it is let go.

    Without events, it is the clock that is being moved.
    """

    def __init__(
        self, pool: ThreadPoolExecutor, harness: MergeHarness, events: list[CloudEvent] | None, hold_after: int
    ) -> None:
        self._hold_after, self._ran = hold_after, 0
        self._held, self._free = Event(), Event()
        self._pid = harness.connection.info.backend_pid
        harness.connection.cursor_factory = self._cursor_factory()
        self._applied: Future[Any] = (
            pool.submit(harness.advance) if events is None else pool.submit(harness.apply, events)
        )

    def let_go(self) -> Self:
        """Open the gate; what is held goes on."""
        self._free.set()
        return self

    def result(self) -> Any:  # noqa: ANN401 - of a batch what was applied, of the clock when to look again
        """Wait until the batch is committed; raises what it raised."""
        return self._applied.result(PATIENCE_SECONDS)

    def rests(self, engine: Engine) -> Rest:
        """Wait until the thread cannot move by itself: held at its point, waiting for the other's lock, or done."""
        deadline = monotonic() + PATIENCE_SECONDS
        # One connection looks again and again: to take one from the pool would be three more statements each time.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
            while monotonic() < deadline:
                if self._applied.done():
                    return "done"
                if self._held.is_set() and not self._free.is_set():
                    return "held"
                if _waits_for_a_lock(watcher, self._pid):
                    return "waiting"
                self._held.wait(POLL_SECONDS)
        raise AssertionError(f"after {PATIENCE_SECONDS} s the batch neither ended, nor stopped, nor waits for a lock")

    def _cursor_factory(self) -> type[Cursor[Any]]:
        after_statement = self._after_statement

        class Paced(Cursor[Any]):
            def execute(self, *arguments: Any, **named: Any) -> Self:  # noqa: ANN401 - handed on as they are
                super().execute(*arguments, **named)
                after_statement()
                return self

        return Paced

    def _after_statement(self) -> None:
        self._ran += 1
        if self._ran == self._hold_after:
            self._held.set()
            if not self._free.wait(PATIENCE_SECONDS):
                raise TimeoutError("nobody let the batch go")


def play(
    engine: Engine,
    first: tuple[MergeHarness, list[CloudEvent] | None, int],
    second: tuple[MergeHarness, list[CloudEvent] | None, int],
) -> tuple[Rest, Rest]:
    """Bring the first to its point, then the second as far as it can go; let the first end, then the second.

    Returns:
        How far the first had come by itself, and how far the second came then.

    """
    with ThreadPoolExecutor(2) as pool:
        one, other = Held(pool, *first), None
        try:
            met = one.rests(engine)
            other = Held(pool, *second)
            came = other.rests(engine)
            if one.let_go().rests(engine) == "waiting":  # for the second: then that one has to end before it
                other.let_go()
            one.result()
        finally:
            for batch in (one, other):
                if batch:
                    batch.let_go()
        other.result()
    return met, came


def _waits_for_a_lock(watcher: Connection, pid: int) -> bool:
    blocked = text("SELECT cardinality(pg_blocking_pids(:pid)) > 0")
    return bool(watcher.execute(blocked, {"pid": pid}).scalar())
