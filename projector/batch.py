"""What one transaction applies: messages in, staged rows out. Pure: no I/O and no clock.

Within a batch each entity is first reduced to its winner, the greatest (version, event id): PostgreSQL sees every key
once. Event ids are compared as text here and as bytes there, which is one order, since UTF-8 keeps code point order.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from events.types import ENTITIES, Entity, Event, Message, Refusal

Place = tuple[str, int]
"""A topic and a partition."""
Positions = Mapping[Place, int]
"""The next offset to apply, by place."""
Row = tuple[Any, ...]


class Item(NamedTuple):
    """One message and what became of it: a row to stage, or a refusal."""

    message: Message
    entity: Entity
    row: Row
    refusal: Refusal | None


def item(message: Message, outcome: Event | Refusal) -> Item:
    """Turn an event into its row already here, while the writer is busy with the batch before."""
    if isinstance(outcome, Refusal):
        return Item(message, ENTITIES[0], (), outcome)
    return Item(message, outcome.entity, ROW_OF[outcome.entity](outcome, message), None)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Consecutive messages of each partition, and the positions they start from and end at."""

    items: Sequence[Item]
    known: Positions
    ends: Positions

    def halves(self) -> tuple["Batch", "Batch"]:
        """Split in two that, applied one after the other, do the same."""
        middle = len(self.items) // 2
        between = ends_of(self.items[:middle])
        rest = {place: end for place, end in self.ends.items() if between.get(place) != end}
        return (
            Batch(items=self.items[:middle], known={place: self.known[place] for place in between}, ends=between),
            Batch(
                items=self.items[middle:],
                known={place: between.get(place, self.known[place]) for place in rest},
                ends=rest,
            ),
        )

    def refused(self, refusal: Refusal) -> "Batch":
        """Make every item a refusal, its message kept."""
        return Batch(items=[item._replace(refusal=refusal) for item in self.items], known=self.known, ends=self.ends)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Rows by entity, in the staging tables' column order; refusals; conflicts met within the batch."""

    rows: Mapping[Entity, list[Row]]
    refused: Sequence[tuple[Message, Refusal]]
    conflicts: int


def ends_of(items: Iterable[Item]) -> dict[Place, int]:
    """Return the position behind the last item of each partition."""
    return {(item.message.topic, item.message.partition): item.message.offset + 1 for item in items}


def stage(items: Iterable[Item]) -> Staged:
    """Reduce items to one row an entity, and set the refusals apart."""
    winners: dict[Entity, dict[int, Row]] = {entity: {} for entity in ENTITIES}
    refused: list[tuple[Message, Refusal]] = []
    conflicts = 0
    for message, entity, row, refusal in items:
        if refusal is not None:
            refused.append((message, refusal))
            continue
        held = winners[entity].setdefault(row[0], row)
        if held is row:
            continue
        if held[1] == row[1] and held[CONTENT] != row[CONTENT]:
            conflicts += 1
        if row[1:3] > held[1:3]:
            winners[entity][row[0]] = row
    return Staged(
        rows={entity: list(winners[entity].values()) for entity in ENTITIES}, refused=refused, conflicts=conflicts
    )


CONTENT: Final = slice(3, -2)  # a row begins with key, version and event id, and ends with its partition and offset

COLUMNS: Final[Mapping[Entity, str]] = {
    "invoices": "invoice_id, version, event_id, meter_id, customer_id, amount, balance_brought_forward, currency, "
    "invoice_date, due_date, invoice_number, lines, voided, source_partition, source_offset",
    "payments": "payment_id, version, event_id, meter_id, customer_id, invoice_id, amount, currency, paid_at, method, "
    "reference, reversed, source_partition, source_offset",
    "assignments": "assignment_id, version, event_id, meter_id, customer_id, assigned_at, unassigned_at, active, "
    "source_partition, source_offset",
    "customers": "customer_id, version, event_id, name, source_partition, source_offset",
}
"""The staging table's columns of each entity, in the order of the rows below."""


def _invoice(event: Event, message: Message) -> Row:
    get = event.data.get
    lines = get("lines")
    return (
        get("invoice_id"), get("version"), event.id,
        get("meter_id"), get("customer_id"), get("amount"), get("balance_brought_forward"), get("currency"),
        get("invoice_date"), get("due_date"), get("invoice_number"),
        None if lines is None else to_json(lines).decode(), event.type == "billing.invoice.voided",
        message.partition, message.offset,
    )  # fmt: skip


def _payment(event: Event, message: Message) -> Row:
    get = event.data.get
    return (
        get("payment_id"), get("version"), event.id,
        get("meter_id"), get("customer_id"), get("invoice_id"), get("amount"), get("currency"),
        get("paid_at"), get("method"), get("reference"), event.type == "billing.payment.reversed",
        message.partition, message.offset,
    )  # fmt: skip


def _assignment(event: Event, message: Message) -> Row:
    get = event.data.get
    ended = get("unassigned_at")
    return (
        get("assignment_id"), get("version"), event.id,
        get("meter_id"), get("customer_id"), get("assigned_at"), ended,
        event.type == "billing.meter.assigned" and ended is None,
        message.partition, message.offset,
    )  # fmt: skip


def _customer(event: Event, message: Message) -> Row:
    get = event.data.get
    return (get("customer_id"), get("version"), event.id, get("name"), message.partition, message.offset)


ROW_OF: Final[Mapping[Entity, Callable[[Event, Message], Row]]] = {
    "invoices": _invoice,
    "payments": _payment,
    "assignments": _assignment,
    "customers": _customer,
}
