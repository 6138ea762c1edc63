"""How fast a rolling check goes: its chunks are spread evenly over the time in which it has to be through."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from time import monotonic
from typing import Any, Final

from psycopg import Connection

from backfill.check import CHUNKS, WINDOW_ROWS
from backfill.runs import Run

SHARE: Final = 0.9  # of the time allowed; the rest is for restarts, slow chunks, and customers that are new
CHUNKS_MIN: Final = 20  # in one round, so that even a small database is not checked in one go
CHUNK_SECONDS: Final = 60  # between two chunks of a large one: smaller chunks are a smaller load
LOOK_SECONDS: Final = 0.1  # how soon one that rests sees that it is to stop


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a run has still to compare."""

    customers: int
    meters: int

    def chunks(self, chunk_size: int) -> int:
        """How many chunks that is, the last of each phase included, which finds that nothing is left."""
        meters = ceil(self.meters / (chunk_size * WINDOW_ROWS))
        return ceil(self.customers / chunk_size) + meters + 1


def left(connection: Connection[Any], run: Run) -> Left:
    """Count the customers and meters behind a run's cursor."""
    after = {"phase": run.phase, "after": run.cursor}
    customers, meters = connection.execute(CHUNKS["count_left"], after).fetchone() or (0, 0)
    return Left(customers=customers, meters=meters)


def chunk_size(customers: int, seconds: float, most: int) -> int:
    """Choose how many customers a chunk has, so that a round has enough chunks to be spread."""
    chunks = max(CHUNKS_MIN, int(seconds / CHUNK_SECONDS))
    return max(1, min(most, ceil(customers / chunks)))


def pause_seconds(*, chunks: int, seconds: float, took: float) -> float:
    """Say how long to rest before the next chunk; at least as long as the last one took, however late it is."""
    return max(took, seconds / chunks) if chunks > 0 else took


def customers(connection: Connection[Any]) -> int:
    """Count all of them."""
    (count,) = connection.execute(CHUNKS["count_customers"]).fetchone() or (0,)
    return int(count)


class Pacer:
    """The rests of one run; they are counted out anew at each phase, and spread over the time that is left."""

    def __init__(self, connection: Connection[Any], run: Run, ends_at: datetime, stop: Callable[[], bool]) -> None:
        self._connection = connection
        self._ends_at = ends_at
        self._stop = stop
        self._phase = run.phase
        self._chunks = left(connection, run).chunks(run.chunk_size)
        self._seconds = run.tally.seconds

    def rest(self, run: Run) -> None:
        """Rest before the next chunk."""
        if run.phase == self._phase:
            self._chunks -= 1
        else:
            self._phase = run.phase
            self._chunks = left(self._connection, run).chunks(run.chunk_size)
        seconds = (self._ends_at - datetime.now(UTC)).total_seconds()
        pause = pause_seconds(chunks=self._chunks, seconds=seconds, took=run.tally.seconds - self._seconds)
        self._seconds = run.tally.seconds
        rest(pause, self._stop)


def rest(seconds: float, stop: Callable[[], bool]) -> None:
    """Wait, but no longer than until a signal asks to stop."""
    until = monotonic() + seconds
    while not stop() and (remaining := until - monotonic()) > 0:
        time.sleep(min(remaining, LOOK_SECONDS))
