"""What the demo reads from PostgreSQL, each in one statement of `demo.sql`."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg.rows import namedtuple_row

from projector.database import connections
from projector.database.statements import statements

DEMO: Final = statements("projector.demo", "demo.sql")


class Entry(NamedTuple):
    """An invoice or a payment that counts for a meter."""

    meter_id: int
    day: date
    kind: str
    entry_id: int
    billed: Decimal
    paid: Decimal


class Customer(NamedTuple):
    """A customer's recorded figures, and all entries that they are the sums of."""

    customer_id: int
    name: str
    balance: Decimal
    overpayment: Decimal
    entries: Sequence[Entry]

    @property
    def meters(self) -> dict[int, Decimal]:
        """The debt of each meter; negative if it has overpaid."""
        owed = dict.fromkeys((entry.meter_id for entry in self.entries), Decimal(0))
        for entry in self.entries:
            owed[entry.meter_id] += entry.billed - entry.paid
        return owed


def connect(url: str) -> Connection[Any]:
    """Connect, with every statement a transaction of its own."""
    return connections.connect(url, schema="billing", autocommit=True, row_factory=namedtuple_row)


def one(connection: Connection[Any], name: str) -> Any:  # noqa: ANN401 - each statement has its own columns
    """Read a statement's only row."""
    return connection.execute(DEMO[name]).fetchone()


def applied(connection: Connection[Any]) -> int:
    """Count the messages before the positions; the demo's topics start at offset 0."""
    return int(one(connection, "applied").messages)


def customer_to_show(connection: Connection[Any]) -> Customer:
    """Find a customer who owes for one meter and has overpaid for another."""
    found = one(connection, "customer_to_show")
    rows = connection.execute(DEMO["entries_of_customer"], {"customer_id": found.customer_id})
    return Customer(
        customer_id=found.customer_id,
        name=found.name,
        balance=found.balance,
        overpayment=found.overpayment,
        entries=[Entry(*row) for row in rows],
    )
