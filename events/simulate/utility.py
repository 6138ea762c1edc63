"""Months at a utility: assignments, invoices and payments.

Only `Random.random` is used, because it is the only method that Python guarantees to give the same numbers in every
version. The state is a few arrays over the meters; events are not kept.
"""

from array import array
from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Final

from events.simulate.options import Options
from events.simulate.render import Assignment, Invoice, Payment, Renderer, Sent

BILLING_DAYS: Final = 28  # meters are billed in as many cycles, one on each day
DUE_DAYS: Final = 14
GIVEN: Final = ("Achieng", "Wanjiku", "Kiprop", "Mutua", "Njeri", "Otieno", "Amina", "Barasa", "Chebet", "Omar")
FAMILY: Final = ("Odhiambo", "Kamau", "Koech", "Musyoka", "Mwangi", "Owino", "Hassan", "Wekesa", "Rotich", "Abdi")
METHODS: Final = ("MPESA", "BANK", "CASH", "CARD")

UNASSIGNED_AT_FIRST: Final = 0.01
MOVES_OUT: Final = 0.01  # of meters each month
CREDIT_NOTE: Final = 0.02
AMENDED: Final = 0.02
AMENDED_TO_ANOTHER_METER: Final = 0.1  # of amended
INVOICE_WITHOUT_METER: Final = 0.002
INVOICE_WITHOUT_LINES: Final = 0.1
INVOICE_WITHOUT_CUSTOMER: Final = 0.1
PAYMENT_BY_INVOICE: Final = 0.06  # names its invoice and no meter
PAYMENT_UNALLOCATED: Final = 0.01  # names neither
PAYMENT_AMENDED: Final = 0.005
BEHAVIOUR: Final = ((0.12, "none"), (0.40, "part"), (0.46, "twice"), (0.54, "over"), (1.0, "full"))
"""Cumulative shares of how a bill is paid."""


class Utility:
    """The state of the meters, and the events of each month."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._random = Random(options.seed).random  # noqa: S311 - determinism is the point
        self._write = Renderer(options.seed, options.currency)
        nothing = bytes(8 * (options.meters + 1))
        self._debt = array("q", nothing)  # cents; negative where overpaid
        self._customer = array("q", nothing)
        self._assignment = array("q", nothing)
        self._since = array("q", nothing)  # the month of the assignment
        self._assignments = self._invoices = self._payments = 0

    def events(self) -> Iterator[Sent]:
        """Yield customers and assignments, then the invoices and payments of each month."""
        for customer_id in range(1, self._options.customers + 1):
            yield self._write.customer(customer_id, 1, f"{self._pick(GIVEN)} {self._pick(FAMILY)}")
        for meter_id in range(1, self._options.meters + 1):
            if self._random() >= UNASSIGNED_AT_FIRST:
                yield self._assigned(meter_id, 1 + (meter_id - 1) % self._options.customers, 0)
        for month in range(self._options.months):
            days = _days(self._options.start, month)
            for meter_id in range(1, self._options.meters + 1):
                yield from self._moves(meter_id, month)
                yield from self._bill(meter_id, days)

    def _moves(self, meter_id: int, month: int) -> Iterator[Sent]:
        """Assign some meters to another customer."""
        if month == 0 or (self._customer[meter_id] and self._random() >= MOVES_OUT):
            return
        if self._customer[meter_id]:
            left = Assignment(
                assignment_id=self._assignment[meter_id],
                meter_id=meter_id,
                customer_id=self._customer[meter_id],
                since=self._moment(meter_id, self._since[meter_id], 8),
                until=self._moment(meter_id, month, 7),
            )
            yield self._write.assignment("unassigned", 2, left)
        yield self._assigned(meter_id, self._below(self._options.customers) + 1, month)

    def _assigned(self, meter_id: int, customer_id: int, month: int) -> Sent:
        self._assignments += 1
        self._assignment[meter_id], self._customer[meter_id] = self._assignments, customer_id
        self._since[meter_id] = month
        since = self._moment(meter_id, month, 8)
        return self._write.assignment("assigned", 1, Assignment(self._assignments, meter_id, customer_id, since))

    def _bill(self, meter_id: int, days: tuple[str, ...]) -> Iterator[Sent]:
        """Issue the month's invoice, amend or void some, and pay it."""
        random = self._random
        self._invoices += 1
        day = meter_id % BILLING_DAYS
        invoice = Invoice(
            invoice_id=self._invoices,
            meter_id=meter_id if random() >= INVOICE_WITHOUT_METER else 0,
            customer_id=self._customer[meter_id] if random() >= INVOICE_WITHOUT_CUSTOMER else 0,
            cents=20_000 + self._below(480_000) if random() >= CREDIT_NOTE else -1 - self._below(60_000),
            brought_forward=max(self._debt[meter_id], 0),
            dated=days[day],
            due=days[day + DUE_DAYS],
            lines=random() >= INVOICE_WITHOUT_LINES,
        )
        yield self._write.invoice("issued", 1, invoice)
        version = 1
        if random() < AMENDED:
            version, invoice = 2, self._amended(invoice)
            yield self._write.invoice("amended", version, invoice)
        if random() < self._options.voids:
            yield self._write.invoice("voided", version + 1, invoice)
        elif invoice.meter_id:
            self._debt[invoice.meter_id] += invoice.cents
        yield from self._pay(meter_id, days, day)

    def _amended(self, invoice: Invoice) -> Invoice:
        """Move an invoice to another meter, or correct its amount."""
        if self._random() < AMENDED_TO_ANOTHER_METER:
            return invoice._replace(meter_id=self._below(self._options.meters) + 1)
        return invoice._replace(cents=invoice.cents + self._below(40_000) - 20_000)

    def _pay(self, meter_id: int, days: tuple[str, ...], billed: int) -> Iterator[Sent]:
        """Pay the debt: in full, a part, in two parts, too much, or nothing."""
        owed, draw = self._debt[meter_id], self._random()
        behaviour = next(name for share, name in BEHAVIOUR if draw < share)
        if owed <= 1 or behaviour == "none":
            return
        first = owed
        if behaviour == "over":
            first += 1 + self._below(100_000)
        elif behaviour != "full":
            first = 1 + self._below(owed - 1)
        yield from self._payment(meter_id, first, days[billed + self._below(BILLING_DAYS)])
        if behaviour == "twice":
            yield from self._payment(meter_id, owed - first, days[billed + self._below(BILLING_DAYS)])

    def _payment(self, meter_id: int, cents: int, day: str) -> Iterator[Sent]:
        """Pay the invoice just issued; some payments name no meter, and some no invoice either."""
        random = self._random
        self._payments += 1
        draw, minutes = random(), self._below(1440)
        unallocated = draw < PAYMENT_UNALLOCATED
        payment = Payment(
            payment_id=self._payments,
            meter_id=0 if draw < PAYMENT_UNALLOCATED + PAYMENT_BY_INVOICE else meter_id,
            customer_id=self._customer[meter_id],
            invoice_id=0 if unallocated else self._invoices,
            cents=cents,
            paid_at=f"{day}T{minutes // 60:02}:{minutes % 60:02}:00+03:00",
            method=self._pick(METHODS),
        )
        yield self._write.payment("received", 1, payment)
        version = 1
        if random() < PAYMENT_AMENDED:
            version, payment = 2, payment._replace(cents=cents + self._below(10_000))
            yield self._write.payment("amended", version, payment)
        if random() < self._options.voids:
            yield self._write.payment("reversed", version + 1, payment)
        elif not unallocated:
            self._debt[meter_id] -= payment.cents

    def _moment(self, meter_id: int, month: int, hour: int) -> str:
        return f"{_first_of(self._options.start, month)}T{hour:02}:{meter_id % 60:02}:00+03:00"

    def _below(self, limit: int) -> int:
        return int(self._random() * limit)

    def _pick(self, words: tuple[str, ...]) -> str:
        return words[int(self._random() * len(words))]


def _first_of(start: date, month: int) -> date:
    years, index = divmod(start.month - 1 + month, 12)
    return date(start.year + years, index + 1, 1)


def _days(start: date, month: int) -> tuple[str, ...]:
    """Write the days of two months from the first of a month, once for all meters."""
    first = _first_of(start, month)
    return tuple((first + timedelta(days=n)).isoformat() for n in range(2 * BILLING_DAYS))
