"""The contract's event types: what each `data` holds, and the values that decoding hands on.

Money is a decimal string with at most two decimals, in the deployment's currency; ids and versions are positive
64-bit integers. A member that is absent and one that is null mean the same.
"""

from datetime import date
from typing import Annotated, Any, Final, Literal, NamedTuple, NotRequired

from pydantic import AwareDatetime, Field, StringConstraints
from typing_extensions import TypedDict

BIGINT_MAX: Final = 2**63 - 1

Entity = Literal["invoices", "payments", "assignments", "customers"]
ENTITIES: Final[tuple[Entity, ...]] = ("invoices", "payments", "assignments", "customers")

TYPES: Final[dict[str, Entity]] = {
    "billing.invoice.issued": "invoices",
    "billing.invoice.amended": "invoices",
    "billing.invoice.voided": "invoices",
    "billing.payment.received": "payments",
    "billing.payment.amended": "payments",
    "billing.payment.reversed": "payments",
    "billing.meter.assigned": "assignments",
    "billing.meter.unassigned": "assignments",
    "billing.customer.upserted": "customers",
}
"""Each event type and the entity whose topic it travels on: PREFIX.invoices, PREFIX.payments, ..."""

KEY_OF: Final[dict[Entity, str]] = {
    "invoices": "invoice_id",
    "payments": "payment_id",
    "assignments": "assignment_id",
    "customers": "customer_id",
}

Id = Annotated[int, Field(ge=1, le=BIGINT_MAX)]
Text = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")]
Money = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,16}(\.[0-9]{1,2})?$")]
"""NUMERIC(18,2): sixteen digits before the point, two after."""
Payment = Annotated[str, StringConstraints(pattern=r"^(0*[1-9][0-9]*(\.[0-9]{1,2})?|0+\.(0[1-9]|[1-9][0-9]?))$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class InvoiceLine(TypedDict):
    """One line; type `BALANCE` repeats earlier debt."""

    type: Text
    amount: Money


class InvoiceData(TypedDict):
    """The full current state of one invoice; a negative amount is a credit note."""

    invoice_id: Id
    version: Id
    meter_id: NotRequired[Id | None]
    customer_id: NotRequired[Id | None]
    amount: Money
    balance_brought_forward: NotRequired[Money | None]
    currency: Currency
    invoice_date: date
    due_date: NotRequired[date | None]
    invoice_number: NotRequired[Text | None]
    lines: NotRequired[list[InvoiceLine] | None]


class PaymentData(TypedDict):
    """The full current state of one payment; its amount is positive."""

    payment_id: Id
    version: Id
    meter_id: NotRequired[Id | None]
    customer_id: NotRequired[Id | None]
    invoice_id: NotRequired[Id | None]
    amount: Payment
    currency: Currency
    paid_at: AwareDatetime
    method: NotRequired[Text | None]
    reference: NotRequired[Text | None]


class AssignmentData(TypedDict):
    """The full current state of one assignment of a meter to a customer."""

    assignment_id: Id
    version: Id
    meter_id: Id
    customer_id: Id
    assigned_at: AwareDatetime
    unassigned_at: NotRequired[AwareDatetime | None]


class CustomerData(TypedDict):
    """The full current state of one customer."""

    customer_id: Id
    version: Id
    name: Text


class Message(NamedTuple):
    """One Kafka message as it was read: its place, and bytes that nobody has looked into yet."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Event(NamedTuple):
    """One accepted CloudEvent: `data` holds the members of its type's TypedDict, validated."""

    entity: Entity
    type: str
    id: str
    source: str
    data: dict[str, Any]


class Refusal(NamedTuple):
    """Why a message was not accepted: a code to filter by, and a sentence for people."""

    reason: "Reason"
    detail: str


Reason = Literal[
    "no-value",          # a tombstone: the contract deletes nothing
    "not-json",          # the bytes are not a JSON object in UTF-8
    "not-cloudevent",    # a required CloudEvents attribute is missing or wrong
    "unknown-type",      # `type` is none of the contract's
    "wrong-topic",       # the type does not belong on the topic it was read from
    "invalid-data",      # a member of `data` is missing or wrong
    "wrong-currency",    # not the deployment's
    "refused-by-database",  # PostgreSQL could not take it, e.g. a total beyond NUMERIC(18,2)
]  # fmt: skip


def topic_of(entity: Entity, prefix: str) -> str:
    """Name an entity's topic."""
    return f"{prefix}.{entity}"
