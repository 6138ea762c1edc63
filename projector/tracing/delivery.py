"""The process's own tracer, and how its spans reach a collector.

Whatever happens to the collector, a batch waits for nothing: spans go into a bounded queue, which drops the oldest, and
a daemon thread sends them. At the end that thread has some seconds for what is left.

Only `PROJECTOR_TRACES_URL` turns this on. The rest is OpenTelemetry's own to set: `OTEL_EXPORTER_OTLP_HEADERS`,
`OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and others.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer

from events.runtime import background
from events.runtime.settings import Settings

NAME: Final = "meter-balance-projector"
LEFT_SECONDS: Final = 3.0  # for what is in the queue when the process ends

_log = structlog.get_logger()


@contextmanager
def delivering(settings: Settings, *, program: str) -> Iterator[Tracer]:
    """Yield a tracer whose spans are delivered for the duration of the block, and what is left shortly after it."""
    _keep_quiet()
    url = settings.traces_url.get_secret_value()
    own = Resource.create(
        {
            "service.name": NAME,
            "service.version": version(NAME),
            "projector.program": program,
            "projector.schema": settings.schema_name,
            "projector.group": settings.group_id,
        }
    )
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(_Reporting(OTLPSpanExporter(endpoint=url), str(urlsplit(url).hostname)))
    )
    try:
        yield provider.get_tracer(NAME, version(NAME))
    finally:
        wait_for([background.begin(provider.shutdown, name="traces")], LEFT_SECONDS)


class _Reporting(SpanExporter):
    """Says once that spans are lost, and once that they arrive again."""

    def __init__(self, exporter: SpanExporter, host: str) -> None:
        self._exporter = exporter
        self._host = host
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that do not arrive are lost."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                _log.warning("traces not delivered", host=self._host)
            self._lost += len(spans)
        elif self._lost:
            _log.info("traces delivered again", host=self._host, lost=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        """Give up what is being sent."""
        self._exporter.shutdown()


def _keep_quiet() -> None:
    """Drop the library's own log lines, one for each try: `_Reporting` says it once, without what may be secret."""
    logger = logging.getLogger("opentelemetry")
    logger.propagate = False
    logger.handlers = [logging.NullHandler()]
