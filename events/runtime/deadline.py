"""A time budget, shared by everything that a shutdown or a revoke has to do."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Start a budget now."""
        return cls(time.monotonic() + seconds)

    @property
    def remaining_seconds(self) -> float:
        """The time that is left, never negative."""
        return max(0.0, self.at - time.monotonic())
