"""SIGTERM and SIGINT as a request to stop, which loops check between their steps.

By default a signal raises nothing: an exception at an arbitrary moment would leave the clients of Kafka and PostgreSQL
in undefined states. A wait that holds nothing to be drained runs on a daemon thread, and is abandoned on a request.
"""

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from time import monotonic, sleep
from types import FrameType
from typing import Any, Final, TypeVar

from events.runtime import background

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
CHECK_SECONDS: Final = 0.1  # how soon a wait notices a request
SIGNALLED: Final = 128  # added to a signal's number, as shells report it

Result = TypeVar("Result")


class Stop:
    """Whether a stop is requested, and since when."""

    def __init__(self) -> None:
        self.requested_at: float | None = None
        """On the monotonic clock."""

    @property
    def requested(self) -> bool:
        """Tell whether a stop is requested."""
        return self.requested_at is not None

    def request(self) -> None:
        """Request a stop; only the first request counts."""
        self.requested_at = monotonic() if self.requested_at is None else self.requested_at

    def wait(self, seconds: float) -> None:
        """Wait so long, or until a stop is requested."""
        until = monotonic() + seconds
        while not self.requested and (remaining := until - monotonic()) > 0:
            sleep(min(remaining, CHECK_SECONDS))

    def run_unless_stopped(self, wait: Callable[[], Result]) -> Result | None:
        """Run a blocking call on a daemon thread; None if a stop is requested first.

        The call then continues until the process ends, so it must change nothing of the process. What it raises is
        raised here.
        """
        if self.requested:
            return None
        answer = background.begin(wait, name="waiting")
        while not self.requested:
            if wait_for([answer], CHECK_SECONDS).done:
                return answer.result()
        return None


@contextmanager
def stop_on_signals(
    signals: Iterable[signal.Signals] = SIGNALS, *, second_ends: bool = False, raises: bool = False
) -> Iterator[Stop]:
    """Turn signals into a request, for the duration of the block.

    Args:
        signals: which ones.
        second_ends: restore the handlers of before with the first signal, so that a second one ends the process.
        raises: also raise SystemExit at once, with the exit code that shells report for the signal. Only for a program
            whose every step may be interrupted, and which cleans up in `finally` blocks.

    """
    stop = Stop()

    def handle(number: int, _: FrameType | None) -> None:  # only this: whatever is interrupted may hold any lock
        stop.request()
        if second_ends:
            _restore(before)
        if raises:
            raise SystemExit(SIGNALLED + number)

    before = {number: signal.getsignal(number) for number in signals}
    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
