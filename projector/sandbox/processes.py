"""Find, start, stop and kill a server.

A server is recognised by its command line, which contains its folder. psutil compares the creation time of a process
before it sends a signal, so a reused process id never gets one.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil

POLL_SECONDS: Final = 0.02
KILL_SECONDS: Final = 10.0  # to release the memory of a large process that was killed

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
    """Return the processes whose working folder, or one of whose arguments, is one of the paths."""
    wanted = {str(path) for path in paths}
    return [
        process
        for process in _listed()
        if not wanted.isdisjoint({*(process.info["cmdline"] or ()), process.info["cwd"]})
    ]


def _listed() -> Iterator[psutil.Process]:
    """List the running processes.

    psutil caches processes by id. If an id was reused, it would return the earlier process, which counts as ended.
    """
    psutil.process_iter.cache_clear()
    yield from psutil.process_iter(["cmdline", "cwd"])


def launch(command: Sequence[str], *, log: Path) -> None:
    """Start a server that outlives this process: detached, in a session of its own, writing to a log."""
    subprocess.run([sys.executable, "-I", "-S", "-c", _LAUNCH, str(log), *command], check=True)  # noqa: S603


def stop(process: psutil.Process, *, seconds: float) -> bool:
    """End a process with SIGTERM, or with SIGKILL after a timeout; return whether it ended by itself."""
    try:
        process.terminate()
    except psutil.NoSuchProcess:
        return False
    if wait_until(lambda: is_gone(process), seconds=seconds):
        return True
    kill([process])
    return False


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
    """Tell whether a process has ended, whether or not its parent has waited for it.

    A process whose first thread has ended is a zombie already, but holds its ports until its other threads have ended.
    """
    try:
        if not process.is_running():
            return True
        return bool(process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1)
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Wait for a condition; return whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty, for an error message."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "it wrote no log"
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
