"""A reader of the few JSON Schema keywords that our schemas use; one it does not know fails the test."""

import re
from datetime import date, datetime
from typing import Any, Final

from events.contract.schema import schemas

SCHEMAS: Final = schemas()
SAYS_NOTHING: Final = {"$schema", "$defs", "title", "description"}
PYTHON_OF: Final[dict[str, type]] = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None)}


def conforms(event: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Tell whether the event's own type describes it."""
    described = SCHEMAS.get(event["type"]) if isinstance(event.get("type"), str) else None
    return described is not None and _matches(event, described, described)


def _matches(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:  # noqa: ANN401 - as above
    return all(_holds(name, rule, value, root) for name, rule in schema.items() if name not in SAYS_NOTHING)


def _holds(keyword: str, rule: Any, value: Any, root: dict[str, Any]) -> bool:  # noqa: ANN401, PLR0911, PLR0912, C901 - a table
    match keyword:
        case "type":
            return isinstance(value, PYTHON_OF[rule]) and not isinstance(value, bool)
        case "const":
            return bool(value == rule)
        case "$ref":
            return _matches(value, root["$defs"][rule.removeprefix("#/$defs/")], root)
        case "anyOf":
            return any(_matches(value, each, root) for each in rule)
        case "allOf":
            return all(_matches(value, each, root) for each in rule)
        case "required":
            return not isinstance(value, dict) or value.keys() >= set(rule)
        case "properties":
            return not isinstance(value, dict) or all(
                _matches(value[name], each, root) for name, each in rule.items() if name in value
            )
        case "items":
            return not isinstance(value, list) or all(_matches(each, rule, root) for each in value)
        case "minimum":
            return not isinstance(value, int) or value >= rule
        case "maximum":
            return not isinstance(value, int) or value <= rule
        case "minLength":
            return not isinstance(value, str) or len(value) >= rule
        case "maxLength":
            return not isinstance(value, str) or len(value) <= rule
        case "pattern":
            return not isinstance(value, str) or re.search(rule.replace("$", r"\Z"), value) is not None
        case "format":
            return not isinstance(value, str) or _reads(rule, value)
    raise AssertionError(keyword)


def _reads(named: str, text: str) -> bool:
    read = {"date": date.fromisoformat, "date-time": datetime.fromisoformat}[named]
    try:
        read(text)
    except ValueError:
        return False
    return True
