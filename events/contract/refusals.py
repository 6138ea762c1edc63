"""An error of pydantic as a refusal: a reason to filter by, and one sentence that names the member."""

import difflib
import re
from typing import Any, Final

from pydantic import ValidationError

from events.contract.cloudevents import JSON_MEDIA_TYPE
from events.contract.limits import BIGINT_MAX
from events.contract.types import DATE, MONEY, POSITIVE, TIMESTAMP, TYPES, Reason, Refusal

DETAIL_CHARACTERS: Final = 300
INPUT_CHARACTERS: Final = 60
NAMES_MAX: Final = 5  # of other members that are wrong

WRITTEN: Final[dict[str, str]] = {
    MONEY: 'is not a decimal string with at most 16 digits before the point and two after, like "1250.00"',
    POSITIVE: "is not greater than zero",
    DATE: "is not a date like 2026-01-31",
    r"^[^\x00]*$": "contains the character U+0000, which PostgreSQL cannot store",
    r"^[A-Z]{3}$": "is not a currency code of three capitals",
    JSON_MEDIA_TYPE: "is not a media type of JSON, and `data` has to be JSON",
}
NOT_A_TIMESTAMP: Final = "is not a timestamp with an offset, like 2026-01-31T08:00:00+03:00"
NO_SUCH_MOMENT: Final = "does not exist: hours end at 23, minutes and seconds at 59, days with their month"
BEGINNINGS: Final[dict[bytes, str]] = {
    b"\xef\xbb\xbf": "begins with a byte order mark: send UTF-8 without one",
    b"\xff\xfe": "is UTF-16: send UTF-8",
    b"\xfe\xff": "is UTF-16: send UTF-8",
    b"{\x00": "is UTF-16: send UTF-8",
    b"\x00{": "is UTF-16: send UTF-8",
    b"\x00": "begins with a schema registry's magic byte: send JSON by a serializer without a registry",
    b"\x1f\x8b": "is compressed by gzip: leave that to the producer's compression.type",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd: leave that to the producer's compression.type",
    b"\x04\x22\x4d\x18": "is compressed by lz4: leave that to the producer's compression.type",
    b"<": "is XML: send JSON",
}
"""What the first bytes of a value that is not JSON show of it, looked at in this order."""
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


def refusal(error: ValueError, value: bytes = b"", *, tagged: bool, within: str = "") -> Refusal:
    """Describe why bytes are refused: the first error, and the names of other members that are wrong.

    Args:
        error: of pydantic, or a ValueError whose message is the description.
        value: the bytes.
        tagged: whether each location starts with the event's type, as in a union.
        within: the member whose value the bytes are.

    """
    if not isinstance(error, ValidationError):
        return Refusal("not-json", str(error)[:DETAIL_CHARACTERS])
    first, *others = error.errors(include_url=False)
    place = [*([within] if within else []), *first["loc"][tagged:]]
    name = ".".join(map(str, place))
    description = _description(first, value)
    detail = f"{name}: {description}" if name else description
    if further := [".".join(map(str, (*place[: bool(within)], *each["loc"][tagged:]))) for each in others]:
        detail += f"; also wrong: {', '.join(further[:NAMES_MAX])}{', ...' if len(further) > NAMES_MAX else ''}"
    return Refusal(_reason(first["type"], place, within), detail[:DETAIL_CHARACTERS])


def _reason(kind: str, place: list[Any], within: str) -> Reason:
    if kind == "json_invalid" or (kind == "dict_type" and place == [within][: bool(within)]):
        return "not-json"
    if kind == "union_tag_invalid":
        return "unknown-type"
    return "invalid-data" if place[:1] == ["data"] else "not-cloudevent"


def _description(first: Any, value: bytes) -> str:  # noqa: ANN401 - pydantic_core's ErrorDetails, whose members vary by kind
    kind, context = first["type"], first.get("ctx", {})
    match kind:
        case "string_pattern_mismatch":
            message = WRITTEN.get(context["pattern"], f"does not match {context['pattern']}")
        case "union_tag_invalid":
            return f"type: {context['tag'][:100]!r} is not in the contract{_meant(context['tag'])}"
        case "union_tag_not_found":
            return "type: is missing"
        case "json_invalid":
            shown = next((shown for beginning, shown in BEGINNINGS.items() if value.startswith(beginning)), None)
            return f"the value {shown or 'is not JSON: ' + context['error'].replace('ident', 'true, false or null')}"
        case "date-time":
            is_written = isinstance(first["input"], str) and re.match(TIMESTAMP, first["input"])
            message = NO_SUCH_MOMENT if is_written else NOT_A_TIMESTAMP
        case "string_type" if _is_number(first["input"]):
            message = 'is not a string: write it in quotes, an amount with two decimals, like "1250.00"'
        case _:
            message = KINDS.get(kind, first["msg"])
    return f"{_shown(first['input'])}{message}"


def _meant(given: str) -> str:
    """Suggest the type that a mistyped one most resembles."""
    near = difflib.get_close_matches(given[:100], TYPES, n=1, cutoff=0.8)
    return f"; did you mean {near[0]}?" if near else ""


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)


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
