"""Structured logs on standard error: one line a batch or chunk, never one an event."""

import logging
import os
import sys

import stamina.instrumentation
import structlog
from structlog.typing import EventDict, WrappedLogger

from events.runtime.console import printable
from events.runtime.settings import Settings


def configure(settings: Settings) -> None:
    """Send structlog and librdkafka's own lines to standard error in the format chosen."""
    _configure(for_people=settings.log_format == "console")


def configure_anyhow() -> None:
    """Do the same where nobody has, for what must be logged even if the settings cannot be read."""
    if not structlog.is_configured():
        _configure(for_people=os.environ.get("PROJECTOR_LOG_FORMAT") != "json")


def _configure(*, for_people: bool) -> None:
    shape: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if for_people
        else structlog.processors.JSONRenderer()  # plain ASCII, and so inert
    )
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        *([_inert] if for_people else []),
    ]
    structlog.configure(
        processors=[*shared, shape],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=shape, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    stamina.instrumentation.set_on_retry_hooks([_try_again])


def _try_again(details: stamina.instrumentation.RetryDetails) -> None:
    """Say what failed, in one line, and when it is tried again."""
    error = details.caused_by
    why = str(getattr(error, "orig", error)).strip() or type(error).__name__
    structlog.get_logger().warning(
        "trying again", why=why.splitlines()[0], tries=details.retry_num, wait_seconds=round(details.wait_for, 2)
    )


def _inert(_logger: WrappedLogger, _level: str, record: EventDict) -> EventDict:
    """Let no text from elsewhere drive a terminal, or end its line to begin one that looks like ours."""
    for name, value in record.items():
        if isinstance(value, str):
            text = printable(value)
            record[name] = text if name == "exception" else text.replace("\n", "\\n")
    return record
