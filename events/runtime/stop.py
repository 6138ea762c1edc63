"""SIGTERM and SIGINT as a wish to stop, which loops look at between their steps.

A signal raises nothing: an exception at any moment leaves the clients of Kafka and PostgreSQL in states that nobody
has thought of. What may take long and holds nothing to drain is waited for on a thread, and left there.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

LOOK_SECONDS: Final = 0.1  # how soon a wish is seen by who waits

Found = TypeVar("Found")


@dataclass
class Stop:
    """A wish to stop."""

    requested: bool = False

    def run_unless_stopped(self, wait: Callable[[], Found]) -> Found | None:
        """Return what a wait ends in, or raise it; None where the wish is there first: for what holds nothing to drain.

        The wait then goes on, undisturbed, on a thread that ends with the process: it must change nothing in it.
        """
        answer: Future[Found] = Future()
        if not self.requested:
            threading.Thread(target=_answer, args=(answer, wait), name="waiting", daemon=True).start()
        while not self.requested:
            if wait_for([answer], LOOK_SECONDS).done:
                return answer.result()
        return None

    def ask(self, _number: int, _frame: object) -> None:
        """Handle a signal."""
        self.requested = True


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


def _answer(answer: Future[Found], wait: Callable[[], Found]) -> None:
    try:
        answer.set_result(wait())
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
        answer.set_exception(error)
