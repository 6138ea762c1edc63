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
    METRICS = "metrics"
    YARDSTICK = "yardstick"
    DRIFT_CHECK = "drift-check"
    PLAIN = "plain"
    DUPLICATES = "duplicates"
    LATENCY = "latency"
    BESIDE = "beside"
    ONE_BY_ONE = "one-by-one"
    MEMORY = "memory"
    SCALE = "scale"
    LANDLORD = "landlord"
    EVERYTHING_WRONG = "everything-wrong"
    HOT_INVOICE = "hot-invoice"
    HOT_METER = "hot-meter"


SHAPES: Final = frozenset(
    {Measurement.LANDLORD, Measurement.EVERYTHING_WRONG, Measurement.HOT_INVOICE, Measurement.HOT_METER}
)
"""These are as many rows in an extreme shape, each beside an ordinary one of the same size."""

NEEDS_PROJECTION: Final = frozenset(Measurement) - {
    Measurement.ONE_BY_ONE,
    Measurement.MEMORY,
    Measurement.SCALE,
    *SHAPES,
}
"""These work on what the projector has made of the events."""


@dataclass(frozen=True, kw_only=True)
class Steady:
    """A part of the tail: events from `first` on, so many a second, for so long and a warm-up."""

    first: int
    rate: int
    seconds: int

    @property
    def events(self) -> int:
        """How many that are."""
        return self.rate * (self.seconds + WARM_UP_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The sizes of a run."""

    events: int
    customers: int
    meters: int
    sample: int  # events that are applied one by one
    rate: int  # events a second while latency is measured
    busy_rate: int  # events a second while a drift check runs beside
    seconds: int  # for so long
    scale: int  # customers of a history twenty times as large, which is loaded by SQL
    shape: int  # meters of one customer, payments of one invoice or meter
    only: frozenset[Measurement]

    @property
    def needs_events(self) -> bool:
        """Whether something is measured that does not make its own."""
        return bool(self.only - {Measurement.MEMORY, Measurement.SCALE} - SHAPES)

    @property
    def steady(self) -> Steady:
        """The stream whose latency is measured."""
        return Steady(first=0, rate=self.rate, seconds=self.seconds)

    @property
    def busy(self) -> tuple[Steady, Steady]:
        """The streams without and with a drift check beside."""
        alone = Steady(first=self.steady.events, rate=self.busy_rate, seconds=self.seconds)
        return alone, Steady(first=alone.first + alone.events, rate=self.busy_rate, seconds=self.seconds)

    @property
    def tail(self) -> int:
        """Events that are kept back for the steady streams."""
        return self.steady.events + sum(steady.events for steady in self.busy)


def chosen(only: Iterable[Measurement]) -> frozenset[Measurement]:
    """Return the measurements asked for, all where none was, and what they need."""
    asked = frozenset(only) or frozenset(Measurement)
    return asked | {Measurement.PROJECTOR} if asked & NEEDS_PROJECTION else asked
