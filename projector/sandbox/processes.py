"""Find, start, stop and kill a server.

A server is recognised by its command line, which names its folder. psutil compares a process's creation time before
it sends a signal, so a process id that the system has given to somebody else is never hit.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil

POLL_SECONDS: Final = 0.02
KILL_SECONDS: Final = 10.0  # what the system needs to take down a killed process with a large memory

_LAUNCH: Final = """
import subprocess, sys
subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=open(sys.argv[1], "ab"),
                 stderr=subprocess.STDOUT, start_new_session=True)
"""


def find(matches: Callable[[Sequence[str]], bool]) -> psutil.Process | None:
    """Return the running process whose command line matches, if there is one."""
    for process in _listed():
        if process.info["cmdline"] and matches(process.info["cmdline"]) and not is_gone(process):
            return process
    return None


def about(*paths: Path) -> list[psutil.Process]:
    """Return the processes that work in one of the paths or were given it as an argument."""
    wanted = {str(path) for path in paths}
    return [
        process
        for process in _listed()
        if not wanted.isdisjoint({*(process.info["cmdline"] or ()), process.info["cwd"]})
    ]


def _listed() -> Iterator[psutil.Process]:
    """List what runs now.

    psutil keeps what it has listed by process id. Where the system has given an id anew, it would hand out the process
    that had it before, which then counts as gone.
    """
    psutil.process_iter.cache_clear()
    yield from psutil.process_iter(["cmdline", "cwd"])


def launch(command: Sequence[str], *, log: Path) -> None:
    """Start a server that outlives us: child of nobody, in a session of its own, writing to a log."""
    subprocess.run([sys.executable, "-I", "-S", "-c", _LAUNCH, str(log), *command], check=True)  # noqa: S603


def stop(process: psutil.Process, *, seconds: float) -> None:
    """End a process with SIGTERM, or with SIGKILL once its budget is used up."""
    try:
        process.terminate()
    except psutil.NoSuchProcess:
        return
    if not wait_until(lambda: is_gone(process), seconds=seconds):
        kill([process])


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes and wait until they are gone."""
    victims = list(processes)
    for process in victims:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    wait_until(lambda: all(map(is_gone, victims)), seconds=KILL_SECONDS)


def is_gone(process: psutil.Process) -> bool:
    """Tell whether a process has ended, be it collected by its parent or not.

    One whose first thread has ended is a zombie already, and holds its ports until the others have.
    """
    try:
        if not process.is_running():
            return True
        return bool(process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1)
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Wait for a condition; return whether it came within the budget."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def last_line(log: Path) -> str:
    """Return the last line of a log that says anything, for an error message."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "it wrote no log"
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
