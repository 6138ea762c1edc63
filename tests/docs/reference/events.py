"""`docs/reference/events.md`: the event types and their members from their JSON Schema, with an example of each."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from events.contract.cloudevents import JSON_MEDIA_TYPE
from events.contract.schema import schema
from events.contract.types import ENTITIES, MONEY, POSITIVE, TYPES, Entity
from tests.docs.reference.markdown import NOTE, code, table

EXAMPLES: Final = Path(__file__).parents[1] / "examples.jsonl"
"""One event of each type, in the order of a story."""

WORDS: Final = {
    MONEY: 'a decimal like `"1250.00"`, with at most 16 digits before the point and two after',
    POSITIVE: "greater than zero",
    JSON_MEDIA_TYPE: "a media type of JSON",
    r"^[^\x00]*$": "without the character U+0000",
    r"^[A-Z]{3}$": "a currency code of three capitals",
}
"""What a pattern asks for."""
HEADS: Final = ("member", "required", "value")

INTRODUCTION: Final = f"""{NOTE}

# Events

Events are [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) in JSON, in structured
or binary mode. Each event carries the full current state of one entity, with a `version` that grows. Of two states of
an entity the one with the greater (`version`, `id`) wins, so the order of arrival does not matter and a duplicate
changes nothing. `events schema` prints the JSON Schema of each type; this page is made from it.

The message key is the meter's id where the event has one, else the entity's id. `events publish` sets it. Money is a
decimal string with at most two decimals, because JSON numbers lose digits in common libraries. A member that is absent
and one that is `null` mean the same. A member that is not listed is ignored.

A message that is not an event becomes a dead letter with a [reason](refusals.md).

## Types

"""
ENVELOPE: Final = """
## Attributes

Every event has these; other CloudEvents attributes are accepted and ignored. `source` names the system that sends, such
as `/billing`. `id` names one state of one entity, such as `i-1001-2` for version 2 of invoice 1001; send a state again
under the id that it had.

"""
STORY: Final = """
## Examples

One event of each type. In whatever order they arrive, meter 42 then belongs to customer 7, is billed 1200.00 and has
paid 750.00, and owes 450.00. An amendment replaces what was counted. Debt brought forward is stored and never counted
again. A voided invoice and a reversed payment count nothing. Payment 501 names no meter and counts at its invoice's
meter. A payment that names neither a meter nor an invoice counts at none, whoever its customer is, until a greater
version names one. An invoice without a meter counts at none either. [`backfill
validate`](commands.md#backfill-validate) lists both.

Never give an invoice, payment, assignment or customer the number of an earlier one (`invoice_id` and so on): its first
version would not be greater than the version of the earlier one, would be counted as stale and would change nothing.

To move a meter on a later day, send its present assignment with a greater version and that day as `unassigned_at`, and
a new assignment with that day as `assigned_at`. A balance [moves with the meter](../how-to/handover.md).

"""


def page() -> str:
    """Return the page."""
    kinds = [(code(name), code(f"PREFIX.{entity}"), f"[{entity}](#{entity})") for name, entity in TYPES.items()]
    return "".join(
        (
            INTRODUCTION,
            table(("type", "topic", "data"), kinds),
            "\nPREFIX is `PROJECTOR_TOPIC_PREFIX`, by default `billing`.\n",
            ENVELOPE,
            table(
                ("attribute", "required", "value"), _members(schema(next(iter(TYPES))), skip={"data", "data_base64"})
            ),
            *(_section(entity) for entity in ENTITIES),
            STORY,
            f"```json\n{EXAMPLES.read_text()}```\n",
        )
    )


def _section(entity: Entity) -> str:
    described = schema(next(name for name, of in TYPES.items() if of == entity))
    parts = dict(described["$defs"])
    data = parts.pop(_value(described["properties"]["data"]))
    text = f"\n## {entity}\n\n{data['description']}\n\n{table(HEADS, _members(data))}"
    for name, part in parts.items():
        text += f"\n{name}: {part['description']}\n\n{table(HEADS, _members(part))}"
    return text


def _members(
    described: dict[str, Any], skip: frozenset[str] | set[str] = frozenset()
) -> Iterator[tuple[str, str, str]]:
    for name, member in described["properties"].items():
        if name not in skip:
            yield code(name), "yes" if name in described["required"] else "", _value(member)


def _value(member: dict[str, Any]) -> str:
    """Say what a member has to be."""
    if "anyOf" in member:
        return ", or ".join("`null`" if each == {"type": "null"} else _value(each) for each in member["anyOf"])
    if "$ref" in member:
        return str(member["$ref"]).rpartition("/")[2]
    if "const" in member:
        return (
            "the type's name" if "." in member["const"] and "title" not in member else code(json.dumps(member["const"]))
        )
    if member["type"] == "array":
        return f"array of {_value(member['items'])}"
    if member["type"] == "integer":
        return f"integer, {member['minimum']} to {member['maximum']}"
    return ", ".join((member["type"], *_constraints(member)))


def _constraints(member: dict[str, Any]) -> Iterator[str]:
    if "format" in member:
        yield {"date": "date", "date-time": "date and time with offset"}[member["format"]]
    if "maxLength" in member:
        yield f"{member.get('minLength', 0)} to {member['maxLength']} characters"
    for part in (member, *member.get("allOf", ())):
        if "pattern" in part and "format" not in member:
            yield WORDS.get(part["pattern"]) or f"matching {code(part['pattern'])}"
