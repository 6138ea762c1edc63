"""One span for each transaction: its stages as events, and links to the traces of a sample of its messages.

A batch holds messages of many traces, so it is a trace of its own that links to theirs (OpenTelemetry's conventions for
messaging, "batch"). The headers of so many of its messages are read at most, however large it is.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, Tracer

from events.runtime.settings import Settings
from projector.consume.applied import Applied
from projector.consume.batch import Batch, Item
from projector.consume.observer import Laps
from projector.tracing import traceparent

LINKS_MAX: Final = 64
NANOSECONDS: Final = 1_000_000_000


class BatchSpans:
    """Makes the spans; how they are delivered is the tracer's concern."""

    def __init__(self, settings: Settings, tracer: Tracer) -> None:
        self._group = settings.group_id
        self._tracer = tracer
        self._reading: Mapping[str, float] = {}
        self._retries: list[tuple[str, int]] = []

    def read(self, *, polling_seconds: float, decoding_seconds: float) -> None:
        """Keep the stages before the writer's for the batch's span."""
        self._reading = {"projector.poll_seconds": polling_seconds, "projector.decode_seconds": decoding_seconds}

    def retried(self, sqlstate: str | None) -> None:
        """Keep a try that failed for the span of the one that does not."""
        self._retries.append((sqlstate or "", time.time_ns()))

    def committed(self, batch: Batch, applied: Applied, laps: Laps) -> None:
        """Make the span of a transaction that has just ended."""
        now = time.time_ns()
        began = now - int(sum(laps.seconds.values()) * NANOSECONDS)
        retries, self._retries = self._retries, []
        span = self._tracer.start_span(
            "apply batch",
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.operation.name": "apply",
                "messaging.consumer.group.name": self._group,
                "messaging.batch.message_count": len(batch.items),
                "projector.applied": applied.applied,
                "projector.stale": applied.stale,
                "projector.refused": applied.refused,
                "projector.conflicts": applied.conflicts,
                **self._reading,
            },
            links=list(_links(batch.items)),
            start_time=min([began, *(at for _, at in retries)]),
        )
        self._reading = {}
        for sqlstate, at in retries:
            span.add_event("retried", {"sqlstate": sqlstate}, timestamp=at)
        at = began
        for stage, seconds in laps.seconds.items():
            at += int(seconds * NANOSECONDS)
            span.add_event(stage, {"seconds": seconds}, timestamp=at)
        span.end(now)


def _links(items: Sequence[Item]) -> Iterator[Link]:
    for item in sample(items):
        if (parent := traceparent.read(item.message.headers)) is None:
            continue
        attributes: dict[str, str | int] = {
            "messaging.destination.name": item.message.topic,
            "messaging.destination.partition.id": str(item.message.partition),
            "messaging.kafka.offset": item.message.offset,
        }
        if item.refusal:
            attributes["projector.reason"] = item.refusal.reason
        flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
        context = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
        yield Link(context, attributes)


def sample(items: Sequence[Item]) -> list[Item]:
    """Choose messages to link: refused ones first, at most half, then others at equal distances."""
    refused = [item for item in items if item.refusal][: LINKS_MAX // 2]
    others = [item for item in items if not item.refusal]
    room = LINKS_MAX - len(refused)
    step = max(1, -(-len(others) // room))
    return [*refused, *others[::step]]
