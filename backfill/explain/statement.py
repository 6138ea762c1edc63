"""A meter's statement as values: entries with a running balance, and what they add up to. Pure.

Amounts are signed: billed amounts are positive, payments negative, so a negative balance is an overpayment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

Kind = Literal["invoice", "payment"]


class Counted(NamedTuple):
    """One invoice or payment that counts at the meter, by history.

    `recorded` is what the projection counted of it for this meter, by its marks; `contradicts` tells whether that
    differs from what counts. `before` and `after` tell on which side of the statement's days it lies.
    """

    day: str
    kind: Kind
    id: int
    reference: str | None
    through_invoice_id: int | None
    allocated: bool
    amount: Decimal
    balance_brought_forward: Decimal | None
    source_partition: int | None
    source_offset: int | None
    recorded: Decimal
    contradicts: bool
    before: bool
    after: bool


class Excluded(NamedTuple):
    """One that names the meter and does not count there; `contradicts` tells whether its marks say that it does.

    `outside` tells whether it lies before or after the statement's days.
    """

    kind: Kind
    id: int
    day: str
    amount: Decimal
    reason: str
    recorded: Decimal
    contradicts: bool
    outside: bool


class Holder(NamedTuple):
    """A customer whom the meter was assigned to, and the day from which on."""

    customer_id: int
    day: str


class Ahead(NamedTuple):
    """Whose the meter becomes on a day ahead, and at which local time, None at midnight; no customer if nobody's."""

    day: str
    time: str | None
    customer_id: int | None
    name: str | None


class Owner(NamedTuple):
    """Whose a meter is; the customer is None if nobody's."""

    customer_id: int | None = None
    name: str | None = None


class Meter(NamedTuple):
    """The meter's recorded row, its customer by history, and whom it was and will be assigned to.

    `owner_at` is its customer on the statement's last day; None if the statement has none.
    """

    present: bool
    recorded_customer_id: int | None
    customer_id: int | None
    name: str | None
    total_billed: Decimal
    total_paid: Decimal
    updated_at: datetime | None
    invoice_count: int
    payment_count: int
    holders: Sequence[Holder] = ()
    ahead: Sequence[Ahead] = ()
    owner_at: Owner | None = None

    @property
    def balance(self) -> Decimal:
        """The recorded balance; negative is an overpayment."""
        return self.total_billed - self.total_paid


class HandOver(NamedTuple):
    """The day on which the meter came to its customer from another one, and its balance before that day."""

    customer_id: int
    day: str
    balance: Decimal


class Lacking(NamedTuple):
    """Rows that the recorded balance counts and history does not have: how many, and what they amount to."""

    kind: Kind
    rows: int
    amount: Decimal

    @property
    def none(self) -> bool:
        """Whether recorded balance and history agree."""
        return self.rows == 0 and self.amount == 0


class Entry(NamedTuple):
    """A line of the statement, and the balance after it."""

    counted: Counted
    balance: Decimal


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One meter's account from the first day asked for to the last."""

    meter_id: int
    since: str | None
    at: str | None
    meter: Meter
    opening: Decimal
    entries: Sequence[Entry]
    later: Sequence[Counted]
    excluded: Sequence[Excluded]
    contradicting_rows: int
    handed_over: HandOver | None
    lacking: Lacking | None

    @property
    def closing(self) -> Decimal:
        """The balance after the last entry."""
        return self.entries[-1].balance if self.entries else self.opening

    @property
    def expected(self) -> Decimal:
        """The balance as it should be now: the closing balance and all later entries."""
        return self.closing + sum((counted.amount for counted in self.later), Decimal(0))

    @property
    def difference(self) -> Decimal:
        """Expected less recorded."""
        return self.expected - self.meter.balance

    @property
    def not_counted(self) -> Sequence[Excluded]:
        """Those within the statement's days that do not count."""
        return [each for each in self.excluded if not each.outside]

    @property
    def is_known(self) -> bool:
        """Whether anything names this meter."""
        named = self.entries or self.later or self.excluded or self.opening or self.meter.ahead
        return bool(named or self.meter.present or self.meter.customer_id is not None)


def state(
    meter_id: int, days: tuple[str | None, str | None], meter: Meter, counted: Sequence[Counted],
    excluded: Sequence[Excluded],
) -> Statement:  # fmt: skip
    """Compute the statement; `days` are its first and last, `counted` is in the order of its lines."""
    opening = sum((each.amount for each in counted if each.before), Decimal(0))
    entries, balance = list[Entry](), opening
    for each in counted:
        if not (each.before or each.after):
            balance += each.amount
            entries.append(Entry(each, balance))
    contradicting_rows = sum(each.contradicts for each in counted) + sum(each.contradicts for each in excluded)
    return Statement(
        meter_id=meter_id,
        since=days[0],
        at=days[1],
        meter=meter,
        opening=opening,
        entries=entries,
        later=[each for each in counted if each.after],
        excluded=excluded,
        contradicting_rows=contradicting_rows,
        handed_over=_handed_over(meter, counted),
        lacking=None if contradicting_rows else _lacking(meter, counted),
    )


def _handed_over(meter: Meter, counted: Sequence[Counted]) -> HandOver | None:
    """Find when the meter last came to its customer from another one; None if it never did."""
    day, from_another = None, False
    for holder in meter.holders:
        if holder.customer_id != meter.customer_id:
            day, from_another = None, True
        elif from_another and day is None:
            day = holder.day
    if meter.customer_id is None or day is None:
        return None
    return HandOver(meter.customer_id, day, sum((each.amount for each in counted if each.day < day), Decimal(0)))


def _lacking(meter: Meter, counted: Sequence[Counted]) -> Lacking | None:
    """Find what the recorded row counts beyond history; None if it is more than invoices alone or payments alone."""
    billed = [each.amount for each in counted if each.kind == "invoice"]
    paid = [-each.amount for each in counted if each.kind == "payment"]
    invoices = Lacking("invoice", meter.invoice_count - len(billed), meter.total_billed - sum(billed))
    payments = Lacking("payment", meter.payment_count - len(paid), meter.total_paid - sum(paid))
    if invoices.rows > 0 and payments.none:
        return invoices
    if payments.rows > 0 and payments.amount > 0 and invoices.none:
        return payments
    return None
