"""Who is told of each batch, and how long its stages took."""

import time
from typing import Protocol

from projector.consume.applied import Applied
from projector.consume.batch import Batch


class Laps:
    """How long the stages of one transaction take; called with a stage's name when it ends."""

    def __init__(self) -> None:
        self._at = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._at
        self._at = now


class BatchObserver(Protocol):
    """Is told of each batch, on the loop's thread before the writer has it, and on the writer's after its commit."""

    def read(self, *, polling_seconds: float, decoding_seconds: float) -> None:
        """Take the stages that a batch passed before it was handed to the writer."""

    def retried(self, sqlstate: str | None) -> None:
        """Take a try of a batch that failed and is repeated."""

    def committed(self, batch: Batch, applied: Applied, laps: Laps) -> None:
        """Take a batch that was committed just now; of one that PostgreSQL refused in part, each part."""
