"""What one test leaves in the process does not reach the next: the settings that were read, and where logs go."""

import logging

import structlog

from events.runtime import settings


def pytest_runtest_setup() -> None:
    """Begin as a program's process does: no settings read, no log configured (`capture_logs` counts as doing so)."""
    settings.load.cache_clear()
    structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
    root.setLevel(logging.WARNING)
