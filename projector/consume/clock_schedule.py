"""When a consumer looks whether an assignment is due: at its start, after assignments were applied, and in between."""

from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from time import monotonic

from projector.consume.batch import Batch
from projector.consume.writer import Writer


class ClockSchedule:
    """Looks while the writer has no batch, so that neither waits for the other's transaction."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._next_look = 0.0
        self._moving: Future[float] | None = None

    def look(self, wait_seconds: float = 0.0) -> bool:
        """Move the clock if it is time to look and an assignment is due.

        Returns:
            Whether the writer is free for a batch: false while the clock is being moved.

        Raises:
            ProgramError: as a batch does.

        """
        if self._moving is None and monotonic() >= self._next_look:
            self._moving = self._writer.advance_clock()
        if self._moving is not None and wait_for([self._moving], wait_seconds).done:
            moved, self._moving = self._moving, None
            self._next_look = monotonic() + moved.result()
        return self._moving is None

    def wait(self, seconds: float) -> None:
        """Wait while the clock is being moved, at most so long; moving it is repeated while PostgreSQL is away."""
        if self._moving is not None:
            wait_for([self._moving], seconds)

    def applied(self, batch: Batch) -> None:
        """Look again at once if a batch had assignments: one may be due already, or sooner than those known before."""
        if any(item.entity == "assignments" for item in batch.items):
            self._next_look = 0.0

    def settle(self, wait_seconds: float) -> None:
        """Look once more, after the last batch."""
        self._next_look = 0.0
        self.look(wait_seconds)
