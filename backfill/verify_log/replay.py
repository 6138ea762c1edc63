"""`projector replay` as a process of its own: an auditor shares no code with the merge.

It is in a session of its own, so that a signal to this process, or Ctrl-C at the terminal that both share, reaches this
one alone, which then ends it. Each of its transactions is whole or not there, so that is harmless, wherever it is.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Final

from events.runtime.errors import WorkFailed

REPLAY: Final = (
    sys.executable, "-P", "-c", "from projector.cli import main; main()", "replay", "-", "--format", "json",
)  # fmt: skip
LOOK_SECONDS: Final = 0.1  # between two looks at whether it is to be ended
END_SECONDS: Final = 5.0  # for it to end by itself once it is asked to


def replay(places: str, stop: Callable[[], bool]) -> bool:
    """Replay the messages at these places: by this interpreter, without a shell, and not from the current folder.

    Returns:
        Whether it came to its end; where we are asked to stop it is ended, and what it has not committed is as it was.

    Raises:
        WorkFailed: it could not replay them.

    """
    with _started() as child:
        said = _heard(child, places, stop)
    if said is None:
        return False
    out, errors = said
    if child.returncode and not out:  # with a report, some were left: the comparison that follows tells which
        last = (errors.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        raise WorkFailed(f"the messages could not be replayed: {last}")
    return True


@contextmanager
def _started() -> Iterator[Popen[str]]:
    """Start it; with the block it ends, whatever becomes of that."""
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
    """Wait for what it says until it ends; None where we are asked to stop first."""
    lines: str | None = given
    while not stop():
        try:
            return child.communicate(lines, timeout=LOOK_SECONDS)
        except TimeoutExpired:
            lines = None  # it has them
    return None
