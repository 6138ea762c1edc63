"""A server is found by its command line, whoever had its process id before."""

import subprocess
import sys
import uuid
from collections.abc import Iterator

import psutil
import pytest

from projector.sandbox import processes
from tests.conftest import WaitUntil


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process whose last argument is a word of its own."""
    command = [sys.executable, "-c", "input()", uuid.uuid4().hex]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        yield started
        started.kill()


def test_a_process_with_the_id_of_one_that_was_listed_before_is_found(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    assert isinstance(child.args, list)
    word = str(child.args[-1])

    def found() -> psutil.Process | None:
        return processes.find(lambda line: line[-1] == word)

    wait_until(found, what="the child to run its command")
    listed = next(process for process in psutil.process_iter() if process.pid == child.pid)
    monkeypatch.setattr(listed, "_ident", (child.pid, 0.0))  # as psutil remembers one that began at another time
    assert not listed.is_running()
    again = found()
    assert again is not None
    assert again.is_running()
