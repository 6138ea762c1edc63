"""The contract's event types: the members of each `data`, and the values that decoding returns.

Money is a decimal string with at most two decimals, in the deployment's currency; ids and versions are positive
64-bit integers. A member that is absent and one that is null mean the same.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NamedTuple, NotRequired, get_args

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints, with_config
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import (
    chain_schema,
    date_schema,
    datetime_schema,
    no_info_plain_validator_function,
    str_schema,
    union_schema,
)
from typing_extensions import TypedDict

from events.contract.limits import BIGINT_MAX

strict: Final = with_config(ConfigDict(strict=True))  # otherwise pydantic accepts true, "7" and 7.0 as an integer

Entity = Literal["invoices", "payments", "assignments", "customers"]
ENTITIES: Final[tuple[Entity, ...]] = ("invoices", "payments", "assignments", "customers")

InvoiceType = Literal["billing.invoice.issued", "billing.invoice.amended", "billing.invoice.voided"]
PaymentType = Literal["billing.payment.received", "billing.payment.amended", "billing.payment.reversed"]
AssignmentType = Literal["billing.meter.assigned", "billing.meter.unassigned"]
CustomerType = Literal["billing.customer.upserted"]
TYPES_OF: Final[dict[Entity, Any]] = {
    "invoices": InvoiceType,
    "payments": PaymentType,
    "assignments": AssignmentType,
    "customers": CustomerType,
}
TYPES: Final[dict[str, Entity]] = {name: entity for entity, names in TYPES_OF.items() for name in get_args(names)}
"""Each event type and the entity whose topic it travels on: PREFIX.invoices, PREFIX.payments, ..."""

KEY_OF: Final[dict[Entity, str]] = {
    "invoices": "invoice_id",
    "payments": "payment_id",
    "assignments": "assignment_id",
    "customers": "customer_id",
}

MONEY: Final = r"^-?[0-9]{1,16}(\.[0-9]{1,2})?$"
POSITIVE: Final = r"^[0-9.]*[1-9]"
DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
TIMESTAMP: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)$"
)
HOURS_ALONE: Final = r"[+-][0-9]{2}$"
"""An offset of whole hours, as ISO 8601 allows and PostgreSQL writes; pydantic requires the minutes."""


@dataclass(frozen=True, eq=False)
class Written:
    """Require the form of a string before it is parsed: pydantic alone accepts `"1700000000"` as a date."""

    pattern: str
    then: CoreSchema
    format: str = ""
    completed: tuple[str, str] | None = None  # (end, suffix): a text with this end gets the suffix, and is parsed again

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the string, then parse it."""
        string, then = str_schema(pattern=self.pattern, strict=True), {**self.then, "strict": False}
        if self.completed is None:
            return chain_schema([string, then])
        end, addition = self.completed
        complete = no_info_plain_validator_function(lambda text: text + addition)
        return union_schema(
            [chain_schema([string, then]), chain_schema([string, str_schema(pattern=end), complete, then])],
            mode="left_to_right",
            custom_error_type=self.format,
            custom_error_message=f"is not a {self.format}",
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the same two steps."""
        if self.format:
            return {"type": "string", "pattern": self.pattern, "format": self.format}
        return {"type": "string", "allOf": [{"pattern": self.pattern}, {"pattern": self.then["pattern"]}]}


Id = Annotated[int, Field(ge=1, le=BIGINT_MAX)]
Text = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")]
"""PostgreSQL cannot store U+0000 in text."""
Money = Annotated[str, StringConstraints(pattern=MONEY)]
"""NUMERIC(18,2): sixteen digits before the point, two after."""
PositiveMoney = Annotated[str, Written(MONEY, then=str_schema(pattern=POSITIVE))]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Date = Annotated[date, Written(DATE, then=date_schema(), format="date")]
Timestamp = Annotated[
    datetime,
    Written(TIMESTAMP, then=datetime_schema(tz_constraint="aware"), format="date-time", completed=(HOURS_ALONE, ":00")),
]


@strict
class InvoiceLine(TypedDict):
    """One line of an invoice; the type `BALANCE` repeats earlier debt."""

    type: Text
    amount: Money


@strict
class InvoiceData(TypedDict):
    """The full current state of one invoice; a negative amount is a credit note."""

    invoice_id: Id
    version: Id
    meter_id: NotRequired[Id | None]
    customer_id: NotRequired[Id | None]
    amount: Money
    balance_brought_forward: NotRequired[Money | None]
    currency: Currency
    invoice_date: Date
    due_date: NotRequired[Date | None]
    invoice_number: NotRequired[Text | None]
    lines: NotRequired[list[InvoiceLine] | None]


@strict
class PaymentData(TypedDict):
    """The full current state of one payment; its amount is positive."""

    payment_id: Id
    version: Id
    meter_id: NotRequired[Id | None]
    customer_id: NotRequired[Id | None]
    invoice_id: NotRequired[Id | None]
    amount: PositiveMoney
    currency: Currency
    paid_at: Timestamp
    method: NotRequired[Text | None]
    reference: NotRequired[Text | None]


@strict
class AssignmentData(TypedDict):
    """The full current state of one assignment of a meter to a customer.

    It is in effect from `assigned_at` until just before `unassigned_at`; both may lie ahead. An event of type
    `billing.meter.unassigned` without `unassigned_at` ends it at once; with it, both types mean the same.
    """

    assignment_id: Id
    version: Id
    meter_id: Id
    customer_id: Id
    assigned_at: Timestamp
    unassigned_at: NotRequired[Timestamp | None]


@strict
class CustomerData(TypedDict):
    """The full current state of one customer."""

    customer_id: Id
    version: Id
    name: Text


class Mode(StrEnum):
    """How an event is written into a Kafka message."""

    STRUCTURED = "structured"
    BINARY = "binary"


TopicPartition = tuple[str, int]
"""A topic and a partition."""


class Message(NamedTuple):
    """One Kafka message as it was read: its partition and offset, and bytes that are not decoded yet."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    leader_epoch: int | None = None


class Event(NamedTuple):
    """One accepted CloudEvent: `data` holds the members of its type's TypedDict, validated."""

    entity: Entity
    type: str
    id: str
    source: str
    data: dict[str, Any]


class Refusal(NamedTuple):
    """Why a message is refused: a code to filter by, and a sentence for people."""

    reason: "Reason"
    detail: str


Reason = Literal[
    "no-value",          # a tombstone: the contract deletes nothing
    "not-json",          # the bytes are not a JSON object in UTF-8 whose members are distinct
    "not-cloudevent",    # a required CloudEvents attribute is missing or wrong
    "unknown-type",      # `type` is not in the contract
    "wrong-topic",       # the type does not belong on the topic it was read from
    "invalid-data",      # a member of `data` is missing or wrong
    "wrong-currency",    # not the deployment's
    "refused-by-database",  # PostgreSQL could not take it, e.g. a total beyond NUMERIC(18,2)
]  # fmt: skip


def topic_of(entity: Entity, prefix: str) -> str:
    """Return an entity's topic."""
    return f"{prefix}.{entity}"
