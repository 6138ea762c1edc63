"""Retry while a service is temporarily unavailable: one schedule for everything that a consumer does."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import stamina

from events.runtime.errors import ServiceTemporarilyUnavailableError
from events.runtime.stop import Stop
from projector.metrics.heartbeat import Heartbeat

WAIT_INITIAL_SECONDS: Final = 0.1
WAIT_MAX_SECONDS: Final = 3.0  # between two attempts, so that a consumer resumes within seconds of the service

Answer = TypeVar("Answer")


def retry_attempts(on: Callable[[Exception], bool]) -> Iterable[stamina.Attempt]:
    """Yield attempts without limit, with growing waits and one log line for each attempt that failed.

    Args:
        on: tells whether an error is worth another attempt.

    """
    return stamina.retry_context(
        on=on, attempts=None, timeout=None, wait_initial=WAIT_INITIAL_SECONDS, wait_max=WAIT_MAX_SECONDS
    )


def retry_until_available(action: Callable[[], Answer], *, stop: Stop, heartbeat: Heartbeat) -> Answer | None:
    """Repeat an action until the service answers, and return its result; None if a stop is requested first.

    Each try that ends is a beat: who waits for a service is alive.

    The action runs on a daemon thread, as in `Stop.run_unless_stopped`, and must change nothing of this process.
    """

    def repeat() -> Answer:
        for attempt in retry_attempts(lambda error: _is_temporary(error) and not stop.requested):
            heartbeat.beat()
            with attempt:
                return action()
        raise AssertionError("unreachable: attempts are not limited")

    return stop.run_unless_stopped(repeat)


def _is_temporary(error: Exception) -> bool:
    return isinstance(error, ServiceTemporarilyUnavailableError)
