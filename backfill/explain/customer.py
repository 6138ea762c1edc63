"""`backfill explain --customer`: what a customer owes, as recorded, and the recorded rows of the customer's meters."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from psycopg import Connection

from backfill.explain.sentences import CAUSE
from backfill.reports.money import money
from backfill.runs.in_effect import PARTS
from backfill.runs.session import snapshot
from events.runtime.console import Format, print_json, print_table, say
from events.runtime.errors import InputError
from events.runtime.settings import Settings
from events.runtime.wording import counted
from projector.database.statements import statements

SQL: Final = statements("backfill.explain", "customer.sql", **PARTS)
IDS_MAX: Final = 20  # meters named in a sentence
COLUMNS: Final = ("Meter>", "Balance>", "Overpayment>", "Billed>", "Paid>")
"""As many as fit 80 columns; the last invoice's and payment's days are in the document."""


class Sums(NamedTuple):
    """A customer's figures, in the deployment's currency."""

    owed: Decimal
    overpaid: Decimal
    billed: Decimal
    paid: Decimal
    meters: int


class MeterRow(NamedTuple):
    """A meter's recorded row; whether history assigns the meter to the customer, and whether the row says so."""

    meter_id: int
    assigned: bool
    recorded: bool
    balance: Decimal
    overpayment: Decimal
    total_billed: Decimal
    total_paid: Decimal
    last_invoice_date: str | None
    last_payment_date: str | None


class Customer(NamedTuple):
    """A customer's recorded sums, and the rows of the meters that history or a row gives to the customer."""

    customer_id: int
    name: str | None
    updated_at: datetime | None
    recorded: Sums
    rows: Sequence[MeterRow]

    @property
    def meters(self) -> Sequence[MeterRow]:
        """The meters that history assigns to the customer."""
        return [row for row in self.rows if row.assigned]

    @property
    def summed(self) -> Sums:
        """The sums over the rows of these meters."""
        meters, none = self.meters, Decimal(0)
        return Sums(
            sum((row.balance for row in meters), none),
            sum((row.overpayment for row in meters), none),
            sum((row.total_billed for row in meters), none),
            sum((row.total_paid for row in meters), none),
            len(meters),
        )

    @property
    def recorded_elsewhere(self) -> Sequence[int]:
        """The meters whose row names another customer, or none."""
        return [row.meter_id for row in self.meters if not row.recorded]

    @property
    def not_assigned(self) -> Sequence[int]:
        """The meters whose row names the customer, to whom history does not assign them."""
        return [row.meter_id for row in self.rows if not row.assigned]


def read(settings: Settings, connection: Connection[Any], customer_id: int) -> Customer:
    """Read a customer's sums and meters in one snapshot.

    Raises:
        InputError: nothing names this customer.

    """
    values = {"customer_id": customer_id, "timezone": settings.timezone}
    with snapshot(connection):
        ((name, updated_at, *sums, known),) = connection.execute(SQL["recorded"], values)
        rows = [MeterRow(*row) for row in connection.execute(SQL["meters"], values)]
    if not (known or rows):
        raise InputError(f"--customer {customer_id}: no customer, assignment or balance names this customer")
    return Customer(customer_id, name, updated_at, Sums(*sums), rows)


def print_customer(settings: Settings, found: Customer, form: Format) -> None:
    """Print a customer's sums and meters."""
    if form is Format.JSON:
        print_json(_document(settings, found))
        return
    say(sentence(found, settings.currency))
    rows = [[row.meter_id, *(money(amount, settings.currency) for amount in row[3:7])] for row in found.meters]
    print_table("Meters", COLUMNS, rows)
    if rows:
        say("`backfill explain --meter METER` shows the lines behind a balance.")


def sentence(found: Customer, currency: str) -> str:
    """Say what is recorded of a customer, and where that is not what the meters' rows amount to."""
    recorded = found.recorded
    who = f"Customer {found.customer_id}" + (f", {found.name}" if found.name else "")
    figures = f"{money(recorded.owed, currency)} owed and {money(recorded.overpaid, currency)} overpaid"
    differing = list(_differing(found, currency))
    known = f"{who}: {figures} over {counted(recorded.meters, 'meter')}"
    if not differing:
        return f"{known}."
    return f"{known} as recorded, but {'; '.join(differing)}. {CAUSE}"


def _differing(found: Customer, currency: str) -> Iterator[str]:
    """Say each thing in which the customer's row and the meters' rows differ."""
    recorded, summed = found.recorded, found.summed
    figures = [
        f"{money(amount, currency)} {name}"
        for name, amount, other in zip(Sums._fields[:4], summed[:4], recorded[:4], strict=True)
        if amount != other
    ]
    if summed.meters != recorded.meters:
        figures.append(counted(summed.meters, "meter"))
    if figures:
        yield f"its meters' rows add up to {', '.join(figures)}"
    if found.recorded_elsewhere:
        yield f"{_meters(found.recorded_elsewhere)} recorded for another customer or none"
    if found.not_assigned:
        yield f"{_meters(found.not_assigned)} recorded for this customer and not assigned to it"


def _meters(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:IDS_MAX])) + (", ..." if len(ids) > IDS_MAX else "")
    return f"meter {shown} is" if len(ids) == 1 else f"meters {shown} are"


def _document(settings: Settings, found: Customer) -> dict[str, Any]:
    recorded, summed = found.recorded, found.summed
    return {
        "customer_id": found.customer_id,
        "customer_name": found.name,
        "currency": settings.currency,
        "timezone": settings.timezone,
        "recorded": _figures(recorded),
        "recorded_at": found.updated_at,
        "sum_of_meters": _figures(summed),
        "meters": [_meter(row) for row in found.meters],
        "recorded_elsewhere": found.recorded_elsewhere,
        "not_assigned": found.not_assigned,
    }


def _figures(sums: Sums) -> dict[str, Any]:
    """Name figures as the columns of `customer_balances`."""
    columns = ("balance", "overpayment", "total_billed", "total_paid", "active_meters")
    return dict(zip(columns, sums, strict=True))


def _meter(row: MeterRow) -> dict[str, Any]:
    return {name: value for name, value in row._asdict().items() if name not in {"assigned", "recorded"}}
