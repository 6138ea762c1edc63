r"""An event as a line for COPY, written on the consumer's thread, so that the writer's thread only sends bytes.

The text format of COPY (PostgreSQL manual, COPY, "Text Format"): fields separated by tabs, `\N` for null, and a
backslash before a character that would end a field or a line.
"""

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, Final

from pydantic_core import to_json

from events.contract.types import KEY_OF, Entity, Event, Message

NULL: Final = "\\N"
MISSING: Final = "\x00"  # replaces null until the row is escaped: decoding accepts no text with this character
ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

CONTENT: Final[Mapping[Entity, tuple[str, ...]]] = {
    "invoices": (
        "meter_id", "customer_id", "amount", "balance_brought_forward", "currency", "invoice_date", "due_date",
        "invoice_number", "lines",
    ),
    "payments": (
        "meter_id", "customer_id", "invoice_id", "amount", "currency", "paid_at", "method", "reference",
    ),
    "assignments": ("meter_id", "customer_id", "assigned_at", "unassigned_at"),
    "customers": ("name",),
}  # fmt: skip
"""The members of `data` that a row stores under the same names."""
FLAG: Final[Mapping[Entity, str]] = {"invoices": "voided", "payments": "reversed", "assignments": "ended"}
"""The column that holds what the event's type means for the entity."""

COLUMNS: Final[Mapping[Entity, str]] = {
    entity: ", ".join(
        [
            KEY_OF[entity], "version", "event_id", *CONTENT[entity],
            *([FLAG[entity]] if entity in FLAG else []), "source_partition", "source_offset",
        ]
    )
    for entity in CONTENT
}  # fmt: skip
"""The staging table's columns of each entity, in the order of a line's fields."""
CONTENT_FIELDS: Final = slice(3, -2)  # after key, version and event id, before the source: what a conflict compares

_members: Final[Mapping[Entity, Callable[[dict[str, Any]], tuple[Any, ...]]]] = {
    entity: itemgetter(KEY_OF[entity], "version", *names) for entity, names in CONTENT.items()
}


def line(event: Event, message: Message) -> str:
    """Write an event's row, from key to source, without the end of the line."""
    entity = event.entity
    key, version, *content = [
        value if value.__class__ is str else MISSING if value is None else _written(value)
        for value in _members[entity](event.data)
    ]
    if entity in FLAG:
        content.append(_flag(event))
    fields = (key, version, event.id, *content, str(message.partition), str(message.offset))
    row = "\t".join(fields)
    if "\\" in row or "\n" in row or "\r" in row or row.count("\t") >= len(fields):
        row = "\t".join([field.translate(ESCAPES) for field in fields])
    return row.replace(MISSING, NULL)


def content_of(row: str) -> list[str]:
    """Return the fields in which two states of the same version must agree."""
    return row.split("\t")[CONTENT_FIELDS]


def _written(value: Any) -> str:  # noqa: ANN401 - any value of an event's data but text
    return to_json(value).decode() if value.__class__ is list else str(value)


def _flag(event: Event) -> str:
    if event.entity == "assignments":
        return "t" if event.type == "billing.meter.unassigned" and event.data["unassigned_at"] is None else "f"
    return "t" if event.type in {"billing.invoice.voided", "billing.payment.reversed"} else "f"
