"""SIGTERM and SIGINT as a wish to stop, which loops look at between their steps."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")


class _Wanted(BaseException):
    """Ends a wait; never leaves this module."""


@dataclass
class Stop:
    """A wish to stop."""

    wanted: bool = False
    _waiting: bool = False

    def unless_wanted(self, wait: Callable[[], Found]) -> Found | None:
        """Return what a wait ends in; None where the wish ends it, at once: for waits that hold nothing to drain.

        A client written in C may go on with the exception set, which Python then calls a SystemError of that cause.
        """
        try:
            try:
                self._waiting = True
                return None if self.wanted else wait()
            finally:
                self._waiting = False
        except _Wanted:
            return None
        except SystemError as error:
            if isinstance(error.__cause__, _Wanted):
                return None
            raise

    def ask(self, _number: int, _frame: object) -> None:
        """Handle a signal."""
        self.wanted = True
        if self._waiting:
            self._waiting = False
            raise _Wanted


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turn the signals into a wish, for as long as the block lasts."""
    stop = Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
