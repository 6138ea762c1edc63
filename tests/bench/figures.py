"""Figures, the ratios between them, and the first marks they are held against."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["events/s", "rows/s", "customers/s", "MB", "ms", "µs", "s", "%", "x", "events", "rows"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number; `key` is MEASUREMENT.NAME and never changes, `what` is for people."""

    key: str
    what: str
    value: float
    unit: Unit


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One figure divided by another."""

    key: str
    what: str
    of: str
    to: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a figure should reach, or stay below."""

    limit: float
    at_least: bool

    def met(self, value: float) -> bool:
        """Compare; staying below means just that."""
        return value >= self.limit if self.at_least else value < self.limit


RATIOS: Final = (
    Ratio(
        key="projector.to_yardstick",
        what="projector / COPY of the bare rows",
        of="projector.events_per_second",
        to="yardstick.rows_per_second",
    ),
    Ratio(
        key="projector.to_one_by_one",
        what="projector / one transaction an event",
        of="projector.events_per_second",
        to="one-by-one.events_per_second",
    ),
    Ratio(
        key="drift-check.to_plain",
        what="drift check / one plain statement",
        of="drift-check.rows_per_second",
        to="plain.rows_per_second",
    ),
    Ratio(
        key="beside.p99_growth",
        what="p99 with a check / without",
        of="beside.p99",
        to="beside.alone_p99",
    ),
    Ratio(
        key="beside.rate_kept",
        what="applied with a check / without",
        of="beside.events_per_second",
        to="beside.alone_events_per_second",
    ),
    Ratio(
        key="scale.memory_growth",
        what="peak memory / that of a tenth",
        of="scale.peak_memory",
        to="scale.tenth_peak_memory",
    ),
    Ratio(
        key="landlord.to_ordinary",
        what="one customer's / as many meters of many",
        of="landlord.seconds",
        to="landlord.ordinary_seconds",
    ),
    Ratio(
        key="landlord.elsewhere_to_ordinary",
        what="two fifths shown under another / as many wrong ones of many",
        of="landlord.elsewhere_seconds",
        to="landlord.ordinary_elsewhere_seconds",
    ),
    Ratio(
        key="everything-wrong.to_ordinary",
        what="one customer's / as many meters of many",
        of="everything-wrong.seconds",
        to="everything-wrong.ordinary_seconds",
    ),
    Ratio(
        key="everything-wrong.rebuild_to_ordinary",
        what="the rebuild of one customer's / of many",
        of="everything-wrong.rebuild_seconds",
        to="everything-wrong.ordinary_rebuild_seconds",
    ),
    Ratio(
        key="hot-invoice.to_ordinary",
        what="payments of one invoice / of as many",
        of="hot-invoice.payment_us",
        to="hot-invoice.ordinary_payment_us",
    ),
    Ratio(
        key="hot-invoice.duplicate_to_ordinary",
        what="its duplicate / that of an invoice with one payment",
        of="hot-invoice.duplicate_ms",
        to="hot-invoice.ordinary_duplicate_ms",
    ),
    Ratio(
        key="hot-meter.to_ordinary",
        what="payments of one meter / of as many",
        of="hot-meter.payment_us",
        to="hot-meter.ordinary_payment_us",
    ),
    Ratio(
        key="hot-meter.redated_to_ordinary",
        what="its latest re-dated / that of a meter with one payment",
        of="hot-meter.redated_ms",
        to="hot-meter.ordinary_redated_ms",
    ),
)

MARKS: Final[dict[str, Mark]] = {
    "projector.to_yardstick": Mark(limit=0.15, at_least=True),
    "projector.to_one_by_one": Mark(limit=100, at_least=True),
    "projector.memory_growth": Mark(limit=1.1, at_least=False),
    "projector.peak_memory": Mark(limit=250, at_least=False),
    "metrics.share": Mark(limit=1, at_least=False),
    "drift-check.to_plain": Mark(limit=0.5, at_least=True),
    "drift-check.peak_memory": Mark(limit=200, at_least=False),
    "memory.large": Mark(limit=300, at_least=False),
    "memory.small": Mark(limit=300, at_least=False),
    "latency.p99": Mark(limit=100, at_least=False),
    "beside.p99_growth": Mark(limit=2, at_least=False),
    "beside.rate_kept": Mark(limit=0.9, at_least=True),
    "scale.memory_growth": Mark(limit=1.2, at_least=False),
    "landlord.to_ordinary": Mark(limit=2, at_least=False),
    "landlord.elsewhere_to_ordinary": Mark(limit=3, at_least=False),
    "landlord.peak_memory": Mark(limit=200, at_least=False),
    "everything-wrong.to_ordinary": Mark(limit=2, at_least=False),
    "everything-wrong.rebuild_to_ordinary": Mark(limit=3, at_least=False),
    "everything-wrong.peak_memory": Mark(limit=200, at_least=False),
    "hot-invoice.to_ordinary": Mark(limit=2, at_least=False),
    "hot-invoice.duplicate_to_ordinary": Mark(limit=3, at_least=False),
    "hot-meter.to_ordinary": Mark(limit=2, at_least=False),
    "hot-meter.redated_to_ordinary": Mark(limit=3, at_least=False),
}
"""The first marks, by figure."""


def with_ratios(figures: Iterable[Figure]) -> list[Figure]:
    """Add the ratios that these figures allow, each to its measurement."""
    measured = list(figures)
    value = {figure.key: figure.value for figure in measured}
    ratios = [
        Figure(key=ratio.key, what=ratio.what, value=value[ratio.of] / value[ratio.to], unit="x")
        for ratio in RATIOS
        if ratio.of in value and value.get(ratio.to)
    ]
    order = list(dict.fromkeys(measurement(figure) for figure in measured))
    return sorted([*measured, *ratios], key=lambda figure: order.index(measurement(figure)))


def measurement(figure: Figure) -> str:
    """Name the measurement that a figure belongs to."""
    return figure.key.partition(".")[0]


def megabytes(octets: int) -> float:
    """Write bytes as MB of a million, the stricter reading of a limit."""
    return octets / 1e6
