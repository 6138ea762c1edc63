"""From Kafka's bytes to a typed value: an event, or a refusal with its reason; never an exception.

    message -> structured or binary mode -> one validating pass over the bytes -> distinct members, topic, currency

A pure function of the message: no I/O, and nothing is made up or repaired. Money stays the string that was sent.
"""

import json
import re
from datetime import UTC
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from events.contract.cloudevents import ATTRIBUTES, DATA, DATA_OF, EVENT, STRUCTURED, STRUCTURED_HEADERS, Attributes
from events.contract.refusals import refusal
from events.contract.types import ENTITIES, TYPES, Entity, Event, Message, Refusal, topic_of

Headers = tuple[tuple[str, bytes | None], ...]

MEMBERS: Final[dict[Entity, dict[str, Any]]] = {
    entity: dict.fromkeys(shape.__annotations__) for entity, shape in DATA_OF.items()
}
"""Every member of each entity as None; a decoded `data` is merged over it, so that no member is ever absent."""
TIMES: Final[dict[Entity, tuple[str, ...]]] = {
    "invoices": (),
    "payments": ("paid_at",),
    "assignments": ("assigned_at", "unassigned_at"),
    "customers": (),
}
DECIDING: Final = {"specversion", "id", "source", "type"}
"""The attributes that decide what an event is; binary mode reads these headers and the media type, and no others."""
LINE_MEMBERS: Final = 2  # type and amount
SPACED_COLON: Final = re.compile(rb'"[ \t\r\n]+:').search

_read = EVENT.validator.validate_json


class Decoder:
    """Decode messages of one deployment.

    Args:
        currency: ISO 4217 code; events in another are refused. None accepts any, to read what was applied earlier.
        topic_prefix: of the four topics.

    """

    def __init__(self, currency: str | None, topic_prefix: str) -> None:
        self._currency = currency
        self._entity_of = {topic_of(entity, topic_prefix): entity for entity in ENTITIES}

    def __call__(self, message: Message) -> Event | Refusal:
        """Return the event in a message, or why it is refused."""
        if message.value is None:
            return Refusal("no-value", "the message has no value; the contract deletes nothing")
        attributes = None if message.headers == STRUCTURED_HEADERS else _binary_attributes(message.headers)
        if isinstance(attributes, Refusal):
            return attributes
        event = self.structured(message.value) if attributes is None else self._binary(attributes, message.value)
        if isinstance(event, Event) and self._entity_of.get(message.topic) != event.entity:
            return Refusal("wrong-topic", f"{event.type} does not belong on topic {message.topic}")
        return event

    def structured(self, value: bytes) -> Event | Refusal:
        """Decode a structured CloudEvent, without regard to its topic."""
        try:
            envelope = _read(value)
            data = envelope["data"]
            entity = TYPES[envelope["type"]]
            if not _surely_distinct(value, len(envelope) + _names(data)):
                _require_distinct(value)
        except ValueError as error:
            return refusal(error, value, tagged=True)
        return self._checked(entity, envelope, data)

    def _binary(self, headers: dict[str, str], value: bytes) -> Event | Refusal:
        """Decode `data` only; the attributes are in the headers."""
        try:
            attributes = ATTRIBUTES.validate_python(headers)
        except ValidationError as error:
            return refusal(error, tagged=False)
        entity = TYPES.get(attributes["type"])
        if entity is None:
            return Refusal("unknown-type", f"type: {attributes['type'][:100]!r} is not in the contract")
        try:
            data = DATA[entity].validate_json(value)
            if not _surely_distinct(value, _names(data)):
                _require_distinct(value)
        except ValueError as error:
            return refusal(error, value, tagged=False, within="data")
        return self._checked(entity, attributes, data)

    def _checked(self, entity: Entity, attributes: Attributes, data: dict[str, Any]) -> Event | Refusal:
        """Check what types cannot express: the currency, and that timestamps exist in UTC."""
        if self._currency is not None and data.get("currency", self._currency) != self._currency:
            return Refusal("wrong-currency", f"data.currency: {data['currency']} is not {self._currency}")
        for name in TIMES[entity]:
            if (instant := data.get(name)) is not None:
                try:
                    data[name] = instant.astimezone(UTC)
                except OverflowError:
                    return Refusal("invalid-data", f"data.{name}: lies outside the years 1 to 9999 in UTC")
        return Event(entity, attributes["type"], attributes["id"], attributes["source"], MEMBERS[entity] | data)


def _binary_attributes(headers: Headers) -> dict[str, str] | Refusal | None:
    """Read the attributes of binary mode; None if the message is in structured mode.

    The rule of the Kafka binding: the content type decides; without one, `ce_` headers make the message binary. A value
    without either counts as structured, because some producers cannot set headers.
    """
    named = [(name.lower(), raw) for name, raw in headers if raw is not None]
    content_type = next((raw for name, raw in named if name == "content-type"), None)
    if content_type is not None and _is_structured(content_type):
        return None
    if not any(name.startswith("ce_") for name, _ in named):
        return _without_attributes([name for name, _ in named], content_type)
    attributes: dict[str, str] = {}
    for name, raw in named:
        attribute = name.removeprefix("ce_")
        if not name.startswith("ce_") or attribute not in DECIDING:
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return Refusal("not-cloudevent", f"header {name!r} is not UTF-8")
        if attributes.setdefault(attribute, text) != text:
            return Refusal("not-cloudevent", f"header {name!r} is given twice with different values")
    media_type = content_type or next((raw for name, raw in named if name == "ce_datacontenttype"), None)
    return attributes if media_type is None else {**attributes, "datacontenttype": media_type.decode(errors="replace")}


def _without_attributes(names: list[str], content_type: bytes | None) -> Refusal | None:
    """Refuse headers that look like binary mode and hold no attribute; None if the message may be structured."""
    wrong = next((name for name in names if name.startswith("ce-") and name.removeprefix("ce-") in DECIDING), None)
    if wrong is not None:
        return Refusal("not-cloudevent", f"header {wrong!r}: in Kafka headers begin with ce_, not with ce- as in HTTP")
    if content_type is None:
        return None
    given = content_type[:100].decode(errors="replace")
    return Refusal(
        "not-cloudevent",
        f"content-type is {given!r} and no header begins with ce_: send a whole event as {STRUCTURED.decode()}",
    )


def _is_structured(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == STRUCTURED


def _names(data: dict[str, Any]) -> int:
    """Count the members of an event's data and of its lines."""
    lines = data.get("lines")
    return len(data) + LINE_MEMBERS * len(lines) if lines else len(data)


def _surely_distinct(value: bytes, names: int) -> bool:
    """Tell whether the bytes certainly hold no more members than were read.

    Each member has a quote followed by a colon, unless there is space between the two.
    """
    return value.count(b'":') == names and not SPACED_COLON(value)


def _require_distinct(value: bytes) -> None:
    """Parse the bytes again, slowly, to require that no object has two members of the same name.

    pydantic keeps the last of two such members, other readers the first, so the event would be ambiguous.

    Raises:
        ValueError: naming the member, or a constant that is not JSON.

    """
    _read_again(value.decode())


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) == len(pairs):
        return
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"member {name[:100]!r} is given twice in one object")
        seen.add(name)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_read_again = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_no_constant).decode
