"""How many keys the next chunk has, and how long a worker pauses before it.

After each chunk every brake says how long to pause, and the longest pause counts. There are three brakes: the row rate
that is allowed, the time over which a rolling check is spread, and the governor (`backfill.throttle.governor`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from threading import Lock
from time import monotonic
from typing import Any, Final, Protocol

from psycopg import Connection

from backfill.audit import check
from backfill.audit.check import WINDOW_ROWS
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Tally

TARGET_SECONDS: Final = 0.25  # of a chunk: so short a snapshot holds back no vacuum, and a signal takes effect soon
SIZE_FIRST: Final = 1_000  # keys, before it is known how long they take
SIZE_MIN: Final = 50  # below that a chunk's fixed cost exceeds that of its keys
SIZE_MAX: Final = 8_000  # beyond that a chunk costs memory and is no faster
FACTOR_MAX: Final = 2.0  # of one size to the next, so that one slow chunk changes little

ROUND_FRACTION: Final = (
    0.9  # of the time allowed a rolling check; the rest is for restarts, slow chunks, and new customers
)
CHUNKS_MIN: Final = 20  # in one round, so that even a small database is not checked in one go
CHUNK_SECONDS: Final = 60  # between two chunks of a large one: smaller chunks are a smaller load
LOOK_SECONDS: Final = 0.1  # how soon a pause ends when a stop is requested


class Brake(Protocol):
    """Given a run, what its last chunk counted, and how many seconds that took: returns how many seconds to pause."""

    reason: str

    def __call__(self, run: Run, delta: Tally, took: float, /) -> float:
        """Return the seconds."""


class Rests:
    """How long the workers of a process have paused, by the reason of the brake that counted."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seconds: dict[str, float] = {}

    def add(self, reason: str, seconds: float) -> None:
        """Count a pause that is over."""
        with self._lock:
            self._seconds[reason] = self._seconds.get(reason, 0.0) + seconds

    def seconds(self) -> dict[str, float]:
        """Return the seconds by reason."""
        with self._lock:
            return dict(self._seconds)


class Pace:
    """One worker's pace."""

    def __init__(
        self,
        brakes: Sequence[Brake] = (),
        stop: Callable[[], bool] = lambda: False,
        rests: Rests | None = None,
    ) -> None:
        self._brakes = brakes
        self._stop = stop
        self._rests = rests or Rests()
        self._size = SIZE_FIRST

    def size(self, run: Run) -> int:
        """Choose how many keys the next chunk has."""
        return run.chunk_size or self._size

    def after(self, run: Run, delta: Tally, took: float) -> None:
        """Adjust the chunk size to the last chunk's duration, then pause."""
        self._size = next_size(self._size, took)
        seconds, reason = max(((brake(run, delta, took), brake.reason) for brake in self._brakes), default=(0.0, ""))
        began = monotonic()
        rest(seconds, self._stop)
        if seconds:
            self._rests.add(reason, monotonic() - began)


def next_size(size: int, took: float) -> int:
    """Move the chunk size towards one that takes the target time."""
    factor = min(FACTOR_MAX, max(1 / FACTOR_MAX, TARGET_SECONDS / max(took, 1e-9)))
    return round(min(SIZE_MAX, max(SIZE_MIN, size * factor)))


class RowRate:
    """At most so many history rows a second in this process, over all its workers."""

    reason = "rows_max"

    def __init__(self, rows_max: float) -> None:
        self._rows_max = rows_max
        self._free_at = 0.0
        self._lock = Lock()

    def __call__(self, _run: Run, delta: Tally, took: float) -> float:
        """Return how long to pause until the rows read so far are within the rate."""
        with self._lock:
            now = monotonic()
            self._free_at = max(self._free_at, now - took) + delta.history_rows / self._rows_max
            return max(0.0, self._free_at - now)


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """What a run still has to compare."""

    customers: int
    meters: int

    def chunks(self, chunk_size: int) -> int:
        """Count the chunks, including the last one of each phase, which finds nothing left."""
        meters = ceil(self.meters / (chunk_size * WINDOW_ROWS))
        return ceil(self.customers / chunk_size) + meters + 1


def remaining(connection: Connection[Any], run: Run) -> Remaining:
    """Count the customers and meters behind the last key for which a chunk was made."""
    among_customers = run.phase == "customers"
    meters = check.count_meters(connection, BEFORE_ALL_KEYS if among_customers else run.cursor)
    customers = check.count_customers(connection, run.selection, run.cursor) if among_customers else 0
    return Remaining(customers=customers, meters=meters)


def chunk_size(customers: int, seconds: float, most: int) -> int:
    """Choose how many customers a chunk has, so that a round has enough chunks to spread evenly."""
    chunks = max(CHUNKS_MIN, int(seconds / CHUNK_SECONDS))
    return max(1, min(most, ceil(customers / chunks)))


def pause_seconds(*, chunks: int, seconds: float, took: float) -> float:
    """Return the pause before the next chunk: at least as long as the last chunk took, even when the round is late."""
    return max(took, seconds / chunks) if chunks > 0 else took


class EvenPacing:
    """Spreads chunks evenly over the rest of a round; the remaining chunks are counted anew at each phase."""

    reason = "schedule"

    def __init__(self, connection: Connection[Any], run: Run, chunk_size: int, ends_at: datetime) -> None:
        self._connection = connection
        self._chunk_size = chunk_size
        self._ends_at = ends_at
        self._phase = run.phase
        self._chunks = remaining(connection, run).chunks(chunk_size)

    def __call__(self, run: Run, _share: Tally, took: float) -> float:
        """Return an equal share of the time that is left."""
        if run.phase == self._phase:
            self._chunks -= 1
        else:
            self._phase = run.phase
            self._chunks = remaining(self._connection, run).chunks(self._chunk_size)
        seconds = (self._ends_at - datetime.now(UTC)).total_seconds()
        return pause_seconds(chunks=self._chunks, seconds=seconds, took=took)


def rest(seconds: float, stop: Callable[[], bool]) -> None:
    """Pause, but end the pause when a stop is requested."""
    until = monotonic() + seconds
    while not stop() and (remaining := until - monotonic()) > 0:
        time.sleep(min(remaining, LOOK_SECONDS))
