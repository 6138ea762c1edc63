"""What is measured, and how much of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WARM_UP_SECONDS: Final = 2
"""A consumer's first batches open its connection and its tables; a deployment does that once in weeks."""


class Measurement(StrEnum):
    """One measurement, in the order of a run."""

    PROJECTOR = "projector"
    YARDSTICK = "yardstick"
    DRIFT_CHECK = "drift-check"
    PLAIN = "plain"
    DUPLICATES = "duplicates"
    LATENCY = "latency"
    ONE_BY_ONE = "one-by-one"


NEEDS_PROJECTION: Final = frozenset(Measurement) - {Measurement.ONE_BY_ONE}
"""These work on what the projector has made of the events."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The sizes of a run."""

    events: int
    customers: int
    meters: int
    sample: int  # events that are applied one by one
    rate: int  # events a second while latency is measured
    seconds: int  # for so long
    only: frozenset[Measurement]

    @property
    def tail(self) -> int:
        """Events that are kept back for the steady stream."""
        return self.rate * (self.seconds + WARM_UP_SECONDS)


def chosen(only: Iterable[Measurement]) -> frozenset[Measurement]:
    """Return the measurements asked for, all where none was, and what they need."""
    asked = frozenset(only) or frozenset(Measurement)
    return asked | {Measurement.PROJECTOR} if asked & NEEDS_PROJECTION else asked
