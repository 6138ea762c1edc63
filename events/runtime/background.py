"""A blocking call on a daemon thread: whoever asked may stop waiting, and the thread ends with the process."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


def begin(call: Callable[[], Result], *, name: str) -> Future[Result]:
    """Begin a call that must change nothing of this process; the future returns what it returns, or raises the same."""
    answer: Future[Result] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again by the future
            answer.set_exception(error)

    Thread(target=run, name=name, daemon=True).start()
    return answer
