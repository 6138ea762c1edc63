"""JSON Schema (2020-12) of each event type, generated from the types that decode it."""

from typing import Any, Final

from pydantic import TypeAdapter

from events.contract.cloudevents import EVENT_OF
from events.contract.types import TYPES

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema(event_type: str) -> dict[str, Any]:
    """Describe a whole event of one of the contract's types in structured mode, envelope and data.

    The decoder also requires what JSON Schema cannot express: members are distinct, and the currency is the
    deployment's.
    """
    described = TypeAdapter(EVENT_OF[TYPES[event_type]]).json_schema()
    described["properties"]["type"] = {"const": event_type}
    return {"$schema": DIALECT, **described, "title": event_type}


def schemas() -> dict[str, dict[str, Any]]:
    """Describe every event type, by name."""
    return {event_type: schema(event_type) for event_type in TYPES}
