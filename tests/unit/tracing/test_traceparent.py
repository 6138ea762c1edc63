"""The header is read as OpenTelemetry's own propagator reads it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from projector.tracing import traceparent
from projector.tracing.traceparent import TraceParent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FORM = r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z0-9-]{0,5})?"
VALID = f"00-{TRACE}-{SPAN}-01"


def _theirs(text: str) -> TraceParent | None:
    context = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": text})).get_span_context()
    if not context.is_valid:
        return None
    return TraceParent(f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled)


@given(
    st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z0-9-]{0,5})?", fullmatch=True) | st.text()
)
@example(VALID)
@example(VALID.upper())
@example(f"{VALID}-more")
@example(f"01-{TRACE}-{SPAN}-01-more")
@example(f"ff-{TRACE}-{SPAN}-01")
@example(f"00-{'0' * 32}-{SPAN}-01")
@example(f"00-{TRACE}-{'0' * 16}-01")
@example(f"00-{TRACE}-{SPAN}-00")
@example(f"00-{TRACE}-{SPAN}-02")
def test_it_is_read_as_the_standard_says(text: str) -> None:
    assert traceparent.read([("traceparent", text.strip().encode())]) == _theirs(text.strip())


@pytest.mark.parametrize(
    "headers",
    [
        [], [("ce_id", b"1")], [("traceparent", None)], [("traceparent", b"")],
        [("traceparent", b"\xff" + VALID.encode())], [("traceparent", VALID.encode() + b"\n")],
        [("traceparent", b"none"), ("traceparent", VALID.encode())],
    ],
)  # fmt: skip
def test_there_is_none(headers: list[tuple[str, bytes | None]]) -> None:
    assert traceparent.read(headers) is None


def test_a_name_is_compared_without_regard_to_case() -> None:
    assert traceparent.read([("x", b""), ("Traceparent", VALID.encode())]) == TraceParent(TRACE, SPAN, sampled=True)
