"""SIGTERM and SIGINT as a wish to stop, which loops look at between their steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stop:
    """A wish to stop."""

    wanted: bool = False


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turn the signals into a wish, for as long as the block lasts."""
    stop = Stop()

    def ask(_number: int, _frame: object) -> None:
        stop.wanted = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
