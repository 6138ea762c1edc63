"""How many keys the next chunk has, and how long a worker rests before it.

A brake looks at each chunk that was done and says how long to rest; the longest rest counts. There are three: the rows
a second that somebody allows, the time over which a rolling check is spread, and the consumers, who come first
(`backfill.throttle.governor`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from threading import Lock
from time import monotonic
from typing import Any, Final

from psycopg import Connection

from backfill.audit import check
from backfill.audit.check import WINDOW_ROWS
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Tally

TARGET_SECONDS: Final = 0.25  # of a chunk: a snapshot so short holds back no vacuum, and a signal is heeded soon
SIZE_FIRST: Final = 1_000  # keys, before it is known how long they take
SIZE_MIN: Final = 50  # below that a chunk's fixed share costs more than its keys
SIZE_MAX: Final = 8_000  # beyond that a chunk costs memory and is no faster
FACTOR_MAX: Final = 2.0  # of one size to the next, so that one slow chunk does not upset it

ROUND_FRACTION: Final = (
    0.9  # of the time allowed a rolling check; the rest is for restarts, slow chunks, and new customers
)
CHUNKS_MIN: Final = 20  # in one round, so that even a small database is not checked in one go
CHUNK_SECONDS: Final = 60  # between two chunks of a large one: smaller chunks are a smaller load
LOOK_SECONDS: Final = 0.1  # how soon one that rests sees that it is to stop

Brake = Callable[[Run, Tally, float], float]
"""Told a run, what a chunk of it counted and how many seconds that took, returns how many seconds to rest."""


class Pace:
    """One worker's pace."""

    def __init__(self, brakes: Sequence[Brake] = (), stop: Callable[[], bool] = lambda: False) -> None:
        self._brakes = brakes
        self._stop = stop
        self._size = SIZE_FIRST

    def size(self, run: Run) -> int:
        """Choose how many keys the next chunk has."""
        return run.chunk_size or self._size

    def after(self, run: Run, delta: Tally, took: float) -> None:
        """Learn from a chunk, and rest."""
        self._size = next_size(self._size, took)
        rest(max((brake(run, delta, took) for brake in self._brakes), default=0.0), self._stop)


def next_size(size: int, took: float) -> int:
    """Bring a chunk's size nearer to one that takes the time wanted."""
    factor = min(FACTOR_MAX, max(1 / FACTOR_MAX, TARGET_SECONDS / max(took, 1e-9)))
    return round(min(SIZE_MAX, max(SIZE_MIN, size * factor)))


class RowRate:
    """So many history rows a second in this process, however many workers it has."""

    def __init__(self, rows_max: float) -> None:
        self._rows_max = rows_max
        self._free_at = 0.0
        self._lock = Lock()

    def __call__(self, _run: Run, delta: Tally, took: float) -> float:
        """Rest until the rows read until now are allowed."""
        with self._lock:
            now = monotonic()
            self._free_at = max(self._free_at, now - took) + delta.history_rows / self._rows_max
            return max(0.0, self._free_at - now)


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """What a run has still to compare."""

    customers: int
    meters: int

    def chunks(self, chunk_size: int) -> int:
        """How many chunks that is, the last of each phase included, which finds that nothing is left."""
        meters = ceil(self.meters / (chunk_size * WINDOW_ROWS))
        return ceil(self.customers / chunk_size) + meters + 1


def remaining(connection: Connection[Any], run: Run) -> Remaining:
    """Count the customers and meters behind what is cut of a run."""
    among_customers = run.phase == "customers"
    meters = check.count_meters(connection, BEFORE_ALL_KEYS if among_customers else run.cursor)
    customers = check.count_customers(connection, run.selection, run.cursor) if among_customers else 0
    return Remaining(customers=customers, meters=meters)


def chunk_size(customers: int, seconds: float, most: int) -> int:
    """Choose how many customers a chunk has, so that a round has enough chunks to be spread."""
    chunks = max(CHUNKS_MIN, int(seconds / CHUNK_SECONDS))
    return max(1, min(most, ceil(customers / chunks)))


def pause_seconds(*, chunks: int, seconds: float, took: float) -> float:
    """Say how long to rest before the next chunk; at least as long as the last one took, however late it is."""
    return max(took, seconds / chunks) if chunks > 0 else took


class EvenPacing:
    """Chunks spread over the time that is left of a round; they are counted out anew at each phase."""

    def __init__(self, connection: Connection[Any], run: Run, chunk_size: int, ends_at: datetime) -> None:
        self._connection = connection
        self._chunk_size = chunk_size
        self._ends_at = ends_at
        self._phase = run.phase
        self._chunks = remaining(connection, run).chunks(chunk_size)

    def __call__(self, run: Run, _share: Tally, took: float) -> float:
        """Rest an equal part of what is left."""
        if run.phase == self._phase:
            self._chunks -= 1
        else:
            self._phase = run.phase
            self._chunks = remaining(self._connection, run).chunks(self._chunk_size)
        seconds = (self._ends_at - datetime.now(UTC)).total_seconds()
        return pause_seconds(chunks=self._chunks, seconds=seconds, took=took)


def rest(seconds: float, stop: Callable[[], bool]) -> None:
    """Wait, but no longer than until a signal asks to stop."""
    until = monotonic() + seconds
    while not stop() and (remaining := until - monotonic()) > 0:
        time.sleep(min(remaining, LOOK_SECONDS))
