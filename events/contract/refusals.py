"""An error of pydantic as a refusal: a reason to filter by, and one sentence that names the member."""

from typing import Any, Final

from pydantic import ValidationError

from events.contract.limits import BIGINT_MAX
from events.contract.types import DATE, MONEY, POSITIVE, TIMESTAMP, Reason, Refusal

DETAIL_CHARACTERS: Final = 300
INPUT_CHARACTERS: Final = 60

WRITTEN: Final[dict[str, str]] = {
    MONEY: 'is not a decimal string with at most 16 digits before the point and two after, like "1250.00"',
    POSITIVE: "is not greater than zero",
    DATE: "is not a date like 2026-01-31",
    TIMESTAMP: "is not a timestamp with an offset, like 2026-01-31T08:00:00+03:00",
    r"^[^\x00]*$": "contains the character U+0000, which PostgreSQL cannot store",
    r"^[A-Z]{3}$": "is not a currency code of three capitals",
}
KINDS: Final[dict[str, str]] = {
    "missing": "is missing",
    "int_type": "is not an integer",
    "greater_than_equal": "is not a positive integer",
    "less_than_equal": f"is greater than {BIGINT_MAX}",
    "string_type": "is not a string",
    "dict_type": "is not an object",
    "list_type": "is not an array",
    "string_too_short": "is empty",
    "string_too_long": "is longer than 1000 characters",
    "none_required": "is not accepted; send `data` as a JSON object",
}


def refusal(error: ValueError, *, tagged: bool, within: str = "") -> Refusal:
    """Describe why bytes are refused, by the first error.

    Args:
        error: of pydantic, or a ValueError whose message is the description.
        tagged: whether each location starts with the event's type, as in a union.
        within: the member whose value the bytes are.

    """
    if not isinstance(error, ValidationError):
        return Refusal("not-json", str(error)[:DETAIL_CHARACTERS])
    first = error.errors(include_url=False)[0]
    place = [*([within] if within else []), *first["loc"][tagged:]]
    name = ".".join(map(str, place))
    detail = f"{name}: {_description(first)}" if name else _description(first)
    return Refusal(_reason(first["type"], place, within), detail[:DETAIL_CHARACTERS])


def _reason(kind: str, place: list[Any], within: str) -> Reason:
    if kind == "json_invalid" or (kind == "dict_type" and place == [within][: bool(within)]):
        return "not-json"
    if kind == "union_tag_invalid":
        return "unknown-type"
    return "invalid-data" if place[:1] == ["data"] else "not-cloudevent"


def _description(first: Any) -> str:  # noqa: ANN401 - pydantic_core's ErrorDetails, whose members vary by kind
    kind, context = first["type"], first.get("ctx", {})
    match kind:
        case "string_pattern_mismatch":
            message = WRITTEN.get(context["pattern"], f"does not match {context['pattern']}")
        case "union_tag_invalid":
            return f"type: {context['tag'][:100]!r} is not in the contract"
        case "union_tag_not_found":
            return "type: is missing"
        case "json_invalid":
            return f"the value is not JSON: {context['error']}"
        case _:
            message = KINDS.get(kind, first["msg"])
    return f"{_shown(first['input'])}{message}"


def _shown(given: object) -> str:
    """Write a short input; a long one could be as long as the message."""
    match given:
        case bool() | None:
            return f"{str(given).lower() if given is not None else 'null'} "
        case str() if len(given) <= INPUT_CHARACTERS:
            return f"{given!r} "
        case float():
            return f"the number {given} "
        case int() if abs(given) <= BIGINT_MAX * 10:
            return f"{given} "
        case _:
            return ""
