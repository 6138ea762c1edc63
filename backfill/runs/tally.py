"""What a run has counted: it is added up chunk by chunk and stored with each chunk."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Final

from pydantic import Field, TypeAdapter

from events.contract.limits import BIGINT_MAX
from events.runtime.totals import Totals

Money = Annotated[Decimal, Field(allow_inf_nan=True)]
"""A sum of amounts; sums of runs before NaN was kept out of the tables can be NaN, and are still read."""
FAILURES_MAX: Final = 50  # kept in the run's row; the log has them all


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A chunk that could not be processed: its phase, its first and last key, and why."""

    phase: str
    first: int
    last: int
    reason: str

    @property
    def keys(self) -> str:
        """The keys in words; the first and the last chunk of a phase have no bound on one side."""
        if self.first == self.last:
            return str(self.first)
        if self.first < -BIGINT_MAX:
            return "all" if self.last == BIGINT_MAX else f"up to {self.last}"
        return f"from {self.first} on" if self.last == BIGINT_MAX else f"{self.first} to {self.last}"


@dataclass(frozen=True, kw_only=True)
class LogTally(Totals):
    """What `verify-log` has counted: messages by outcome, and rows by what the log says about them.

    `rows_missing` are those of `rows_wrong` that history lacks; they are not among `rows`.
    """

    messages: int = 0
    refused: int = 0
    unreadable: int = 0
    rows: int = 0
    rows_confirmed: int = 0
    rows_amended: int = 0
    rows_newer: int = 0
    rows_expired: int = 0
    rows_loaded: int = 0
    rows_wrong: int = 0
    rows_missing: int = 0


@dataclass(frozen=True, kw_only=True)
class Tally(Totals):
    """Sums over chunks; `before` is what the projection recorded, `after` what history expects.

    Customers, meters, history rows and totals are those of the first round. `compared_again` counts customers and
    meters of later rounds, `found_again` those of them that differed. A finding counts once, a repair each time.
    `fresh` counts what a later round is the first to find, up to the next round; `repeated` the latest rounds that
    found only what was known. `seconds` is how long processes carried out the run: the rate of a resumed run leaves out
    the pause.
    """

    customers: int = 0
    with_balance: int = 0
    with_overpayment: int = 0
    clear: int = 0
    balances_changed: int = 0
    overpayments_changed: int = 0
    balance_before: Money = Decimal(0)
    balance_after: Money = Decimal(0)
    overpayment_before: Money = Decimal(0)
    overpayment_after: Money = Decimal(0)
    history_rows: int = 0
    meters: int = 0
    meters_without_customer: int = 0
    drifted_meters: int = 0
    drifted_customers: int = 0
    findings: int = 0
    repaired: int = 0
    unrepaired: int = 0
    compared_again: int = 0
    found_again: int = 0
    fresh: int = 0
    repeated: int = 0
    failed: int = 0
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0
    log: LogTally = LogTally()

    def __add__(self, other: "Tally") -> "Tally":
        """Add up, keeping the first failures."""
        total = super().__add__(other)
        return replace(total, failures=total.failures[:FAILURES_MAX])

    @property
    def drifted(self) -> int:
        """Meters and customers that differ."""
        return self.drifted_meters + self.drifted_customers


JSON: Final = TypeAdapter(Tally)


def failure(phase: str, first: int, last: int, reason: str) -> Tally:
    """Count one chunk that could not be processed."""
    return Tally(failed=1, failures=(Failure(phase=phase, first=first, last=last, reason=reason),))
