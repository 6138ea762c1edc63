"""The size of a simulated utility, and how its events reach the topics."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class Options:
    """The same options give the same bytes. Shares lie between 0 and 1."""

    seed: int = 1
    customers: int = 1000
    meters: int = 2000
    months: int = 3
    events_max: int | None = None  # stop after so many lines
    start: date = date(2026, 1, 1)
    voids: float = 0.01  # of invoices voided, and of payments reversed
    duplicates: float = 0.0  # of events sent once more, later
    shuffle: float = 0.0  # of events sent out of order
    poison: float = 0.0  # broken events for each valid one
    currency: str = "KES"
