"""Waiting for a service that is away: one way to try again for all that a consumer does."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import stamina

from events.runtime.errors import ServiceAway
from events.runtime.stop import Stop

WAIT_INITIAL_SECONDS: Final = 0.1
WAIT_MAX_SECONDS: Final = 3.0  # between two tries, so that a consumer is back within seconds of the service

Answer = TypeVar("Answer")


def tries(on: Callable[[Exception], bool]) -> Iterable[stamina.Attempt]:
    """Try until it works, each time a little later, with one log line for each try that failed."""
    return stamina.retry_context(
        on=on, attempts=None, timeout=None, wait_initial=WAIT_INITIAL_SECONDS, wait_max=WAIT_MAX_SECONDS
    )


def patiently(attempted: Callable[[], Answer], *, stop: Stop) -> Answer:
    """Do something as often as it takes until the service answers; where a stop is wanted, no further time."""
    for attempt in tries(lambda error: isinstance(error, ServiceAway) and not stop.wanted):
        with attempt:
            return attempted()
    raise AssertionError("unreachable: tries are not limited")
