"""The trace that a message belongs to: the header `traceparent` of the W3C's Trace Context, level 1, section 3.2."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

NAME: Final = "traceparent"
_FORM: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED: Final = 1
_THIS_VERSION, _NO_VERSION = b"00", b"ff"


class TraceParent(NamedTuple):
    """A trace and the span in it that sent a message, in hexadecimal, and whether that span was recorded."""

    trace_id: str
    span_id: str
    sampled: bool


def read(headers: Iterable[tuple[str, bytes | None]]) -> TraceParent | None:
    """Read the first header of that name; None where there is none or it is not valid."""
    raw = next((value for name, value in headers if name.lower() == NAME), None)
    found = _FORM.fullmatch(raw or b"")
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == _NO_VERSION or (version == _THIS_VERSION and more) or not (int(trace_id, 16) and int(span_id, 16)):
        return None
    return TraceParent(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & _SAMPLED))
