"""Structured logs on standard error: one line for each batch or chunk, never for each event."""

import logging
import os
import sys
from typing import Final

import stamina.instrumentation
import structlog
from structlog.typing import EventDict, WrappedLogger

from events.runtime.console import printable
from events.runtime.settings import Settings

RESULTS: Final = frozenset({"run ended", "step ended", "migration ended"})
"""Log events that say for programs what a command's report says for people."""


def configure(settings: Settings) -> None:
    """Write structlog's log lines, and those of other libraries, to standard error, in the configured format."""
    _configure(for_people=settings.log_format == "console")


def configure_if_needed() -> None:
    """Do the same if it was not done, for what must be logged even if the settings cannot be read."""
    if not structlog.is_configured():
        _configure(for_people=os.environ.get("PROJECTOR_LOG_FORMAT") != "json")


def _configure(*, for_people: bool) -> None:
    shape: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if for_people
        else structlog.processors.JSONRenderer()  # ASCII only, so control characters are escaped
    )
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        *([_escape] if for_people else []),
    ]
    watched = for_people and sys.stdout.isatty() and sys.stderr.isatty()
    structlog.configure(
        processors=[*([_without_results] if watched else []), *shared, shape],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=shape, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    stamina.instrumentation.set_on_retry_hooks([_log_retry])


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    """Log what failed, in one line, and when it is retried."""
    error = details.caused_by
    reason = str(getattr(error, "orig", error)).strip() or type(error).__name__
    structlog.get_logger().warning(
        "retrying", reason=reason.splitlines()[0], attempt=details.retry_num, wait_seconds=round(details.wait_for, 2)
    )


def _without_results(_logger: WrappedLogger, _level: str, record: EventDict) -> EventDict:
    """Drop what a person reads in the report, which is on the same terminal."""
    if record["event"] in RESULTS:
        raise structlog.DropEvent
    return record


def _escape(_logger: WrappedLogger, _level: str, record: EventDict) -> EventDict:
    """Escape text from elsewhere, so that it neither controls a terminal nor forges a log line."""
    for name, value in record.items():
        if isinstance(value, str):
            text = printable(value)
            record[name] = text if name == "exception" else text.replace("\n", "\\n")
    return record
