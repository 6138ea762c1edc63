"""`projector replay` as a process of its own: the auditor shares no code with the merge.

It runs in a session of its own, so a signal to this process, or Ctrl-C at the terminal of both, reaches only this one,
which then ends it. Each of its transactions commits or does nothing, so it can be ended at any moment.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Final

from events.runtime.errors import WorkFailedError

REPLAY: Final = (
    sys.executable, "-P", "-c", "from projector.cli import main; main()", "replay", "-", "--format", "json",
)  # fmt: skip
LOOK_SECONDS: Final = 0.1  # between two checks for a stop
END_SECONDS: Final = 5.0  # for it to end after SIGTERM


def replay(places: str, stop: Callable[[], bool]) -> bool:
    """Replay the messages at these places: with this interpreter, without a shell, and not from the current folder.

    Returns:
        Whether it completed; if a stop is requested it is ended, and what it has not committed is unchanged.

    Raises:
        WorkFailedError: it could not replay them.

    """
    with _started() as child:
        output = _heard(child, places, stop)
    if output is None:
        return False
    out, errors = output
    if child.returncode and not out:  # with a report, some were not replayed: the comparison that follows shows them
        last = (errors.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        raise WorkFailedError(f"the messages could not be replayed: {last}")
    return True


@contextmanager
def _started() -> Iterator[Popen[str]]:
    """Start the process; it is ended with the block, however that ends."""
    with Popen(REPLAY, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, start_new_session=True) as child:  # noqa: S603
        try:
            yield child
        finally:
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(END_SECONDS)
                except TimeoutExpired:
                    child.kill()


def _heard(child: Popen[str], given: str, stop: Callable[[], bool]) -> tuple[str, str] | None:
    """Wait for its output until it ends; None if a stop is requested first."""
    lines: str | None = given
    while not stop():
        try:
            return child.communicate(lines, timeout=LOOK_SECONDS)
        except TimeoutExpired:
            lines = None  # it has got them
    return None
