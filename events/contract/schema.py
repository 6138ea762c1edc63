"""JSON Schema (2020-12) of each event type, from the very types that decode it."""

from typing import Any, Final

from pydantic import TypeAdapter

from events.contract.cloudevents import EVENT_OF
from events.contract.types import TYPES
from events.runtime.errors import InputError

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema(event_type: str) -> dict[str, Any]:
    """Describe a whole event of one type in structured mode, envelope and data.

    What no schema says, the decoder adds: members are distinct, and the currency is the deployment's.

    Raises:
        InputError: for a type that the contract does not have.

    """
    if event_type not in TYPES:
        raise InputError(f"{event_type} is none of the event types {', '.join(TYPES)}")
    described = TypeAdapter(EVENT_OF[TYPES[event_type]]).json_schema()
    described["properties"]["type"] = {"const": event_type}
    return {"$schema": DIALECT, **described, "title": event_type}


def schemas() -> dict[str, dict[str, Any]]:
    """Describe every event type, by its name."""
    return {event_type: schema(event_type) for event_type in TYPES}
