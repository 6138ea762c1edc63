"""An event as the row that history should have, computed here: shared code would share the projector's bugs.

Rows are copied into a temporary table with the column types of history, and compared there by PostgreSQL: a value that
only PostgreSQL can represent, such as the date infinity, is compared like any other.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from psycopg import Connection, Cursor
from psycopg.types.json import Jsonb

from events.contract.types import ENTITIES, KEY_OF, Entity, Event, Message
from projector.database.statements import statements

SQL: Final = statements("backfill.verify_log", "staging.sql")
TABLES: Final[Mapping[Entity, str]] = {
    "invoices": "invoices", "payments": "payments", "assignments": "meter_assignments", "customers": "customers"
}  # fmt: skip
CONTENT: Final[Mapping[Entity, Sequence[str]]] = {
    "invoices": (
        "meter_id", "customer_id", "amount", "balance_brought_forward", "currency", "invoice_date", "due_date",
        "invoice_number", "lines", "voided",
    ),
    "payments": (
        "meter_id", "customer_id", "invoice_id", "amount", "currency", "paid_at", "method", "reference", "reversed",
    ),
    "assignments": ("meter_id", "customer_id", "assigned_at", "unassigned_at", "ended", "active"),
    "customers": ("name",),
}  # fmt: skip
"""The columns that an event decides, besides key, version, event id and place; `active` together with the clock."""
BY_THE_CLOCK: Final = {"active"}  # not staged, but computed when it is compared, by the clock in the same snapshot
STAGED: Final[Mapping[Entity, Sequence[str]]] = {
    entity: [name for name in names if name not in BY_THE_CLOCK] for entity, names in CONTENT.items()
}
BROUGHT_FORWARD: Final = "BALANCE"


class Row(NamedTuple):
    """One message as the row that history should have."""

    entity_id: int
    version: int
    event_id: str
    source_partition: int
    source_offset: int
    content: tuple[Any, ...]
    expected: bool
    charges: Decimal | None
    brought_forward: Decimal | None


def _flag(event: Event) -> bool:
    match event.entity:
        case "invoices":
            return event.type == "billing.invoice.voided"
        case "payments":
            return event.type == "billing.payment.reversed"
        case _:
            return event.type == "billing.meter.unassigned" and event.data["unassigned_at"] is None


FLAGS: Final = {"voided", "reversed", "ended"}


def row(event: Event, message: Message, *, expected: bool) -> Row:
    """Compute an event's row."""
    data = event.data
    lines = data.get("lines")
    content = tuple(_flag(event) if name in FLAGS else data[name] for name in STAGED[event.entity])
    charges, brought = _read(lines) if lines else (None, None)
    return Row(
        entity_id=data[KEY_OF[event.entity]],
        version=data["version"],
        event_id=event.id,
        source_partition=message.partition,
        source_offset=message.offset,
        content=tuple(Jsonb(value) if value.__class__ is list else value for value in content),
        expected=expected,
        charges=charges,
        brought_forward=brought,
    )


def _read(lines: Iterable[Mapping[str, str]]) -> tuple[Decimal, Decimal]:
    """Add up what lines charge, and what they bring forward."""
    charges, brought = Decimal(0), Decimal(0)
    for line in lines:
        if line["type"] == BROUGHT_FORWARD:
            brought += Decimal(line["amount"])
        else:
            charges += Decimal(line["amount"])
    return charges, brought


def for_entity(statement: str, entity: Entity, **more: str) -> str:
    """Fill in a statement for one entity's table, key and columns."""
    content = CONTENT[entity]
    logged = [SQL["in_effect"] if column in BY_THE_CLOCK else f"m.{column}" for column in content]
    return statement.format(
        entity=entity,
        table=TABLES[entity],
        key=KEY_OF[entity],
        content=", ".join(STAGED[entity]),
        h_content=", ".join(f"h.{column}" for column in content),
        m_content=", ".join(logged),
        **more,
    )


def prepare(connection: Connection[Any]) -> None:
    """Create the staging tables of a session."""
    with connection.transaction():
        for entity in ENTITIES:
            connection.execute(for_entity(SQL["create_staging"], entity))


def stage(cursor: Cursor[Any], entity: Entity, rows: Iterable[Row]) -> None:
    """Replace the staged rows of an entity."""
    cursor.execute(for_entity(SQL["clear_staged"], entity))
    with cursor.copy(f"COPY logged_{entity} FROM STDIN") as copy:
        for each in rows:
            copy.write_row((*each[:5], *each.content, each.expected, each.charges, each.brought_forward))
