"""Programs as processes of their own that start in milliseconds: forks of an interpreter that has imported them all.

Most of a short command's processor time is its imports. A child is an ordinary process: it has its own arguments,
environment, folder and streams, runs the program's entry point, and ends as an interpreter ends. What an interpreter or
a module reads of the environment only once, when it starts, a fork cannot have of its own: `suits` tells.

    ForkServer   the tests' side: starts programs
    Forked       one program that was started, with the methods of `subprocess.Popen` that tests use
    serve        the interpreter's side
"""

import atexit
import gc
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

import psutil

PACKAGES: Final = ("events", "projector", "backfill")
NOT_SHARED: Final = ("migrations", "__main__", "parquet")
"""What is not loaded before a fork: what only runs, and what has threads."""
READ_AT_START: Final = ("PYTHON", "LANG", "LC_", "LD_", "TZ", "FORCE_", "TERMINAL_WIDTH", "PSYCOPG")
"""Beginnings of the names of variables that an interpreter or a module reads once and never again."""
ANSWER_SECONDS: Final = 120.0
STREAMS: Final = 3


class Forked:
    """One program that was started.

    Args:
        args: its name and arguments.
        status: where the server writes its process id, and then how it ended.

    """

    def __init__(self, args: Sequence[str], status: socket.socket) -> None:
        self.args = args
        self.returncode: int | None = None
        self._lines = status.makefile("r")
        self._status = status
        if not _readable(status, ANSWER_SECONDS):
            raise AssertionError(f"the fork server does not start {args}")
        self.pid = int(self._lines.readline())

    def poll(self) -> int | None:
        """Return how it ended, as `subprocess` writes it; None while it runs."""
        if self.returncode is None and _readable(self._status, 0):
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it goes on.

        """
        if self.returncode is None:
            if not _readable(self._status, timeout):
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has, and the server has yet to say so
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _end(self) -> None:
        line = self._lines.readline()
        assert line, f"the fork server ended before {self.args}"
        self.returncode = int(line)
        self._lines.close()
        self._status.close()


class ForkServer:
    """The interpreter that is forked."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._one_at_a_time = threading.Lock()
        self._environment = dict(os.environ)
        with theirs:
            self._interpreter = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=Path(__file__).parents[2],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def suits(self, env: Mapping[str, str]) -> bool:
        """Tell whether a program with this environment may be a fork: a start would read nothing else."""
        names = (name for name in {*env, *self._environment} if name.startswith(READ_AT_START))
        return all(env.get(name) == self._environment.get(name) for name in names)

    def start(self, *command: str, env: Mapping[str, str], folder: Path, streams: Sequence[IO[Any]]) -> Forked:
        """Start one of the programs in a folder, with these as its standard input, output and error."""
        request = json.dumps({"command": command, "env": dict(env), "folder": str(folder)}).encode()
        ours, theirs = socket.socketpair()
        with theirs, self._one_at_a_time:
            handles = [*(stream.fileno() for stream in streams), theirs.fileno()]
            socket.send_fds(self._control, [len(request).to_bytes(4, "big")], handles)
            self._control.sendall(request)
        return Forked(command, ours)

    def close(self) -> None:
        """End the interpreter; what it started goes on."""
        self._control.close()
        self._interpreter.wait(ANSWER_SECONDS)


def load_programs() -> None:
    """Import every module of the three programs, and what they import when they are used."""
    for package in PACKAGES:
        path = import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            if not any(part in module.name for part in NOT_SHARED):
                import_module(module.name)
    import_module("typer.rich_utils")


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; return it in the child, and None in the parent once there are no more."""
    woken, wake = socket.socketpair()
    for each in (woken, wake):
        each.settimeout(0)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a keyboard's; the end of the tests is the server's
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _tell_ends(running)
        if control in ready:
            size, handles, _, _ = socket.recv_fds(control, 4, STREAMS + 1)
            if not size:
                return None
            request = _received(control, int.from_bytes(size, "big"))
            status = socket.socket(fileno=handles[-1])
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # so that none comes before `become`
            pid = os.fork()
            if not pid:
                for each in (control, woken, wake, status, *running.values()):
                    each.close()
                return {**request, "streams": handles[:STREAMS]}
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
            for handle in handles[:STREAMS]:
                os.close(handle)
            running[pid] = status
            _tell(status, pid)


def become(request: Mapping[str, Any], ending: "Ending") -> None:
    """Become the program."""
    for number, handle in enumerate(request["streams"]):
        os.dup2(handle, number)
        os.close(handle)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    program, *_ = sys.argv = request["command"]
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    try:
        import_module("events.runtime.entry").start(program)
    except SystemExit as end:
        ending.code = end.code


class Ending:
    """The last of an interpreter's end: what the program made goes, and the modules that it shares stay as they are.

    Taking those down would copy each page that they lie on, for more than half of a short command's processor time.
    """

    code: object = None

    def __call__(self) -> None:
        if isinstance(self.code, int):  # a program has ended by its own account, and not the server
            gc.collect()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.code)


def _tell_ends(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as told:
            _tell(told, os.waitstatus_to_exitcode(status))


def _tell(status: socket.socket, number: int) -> None:
    with suppress(OSError):  # whoever started it is gone
        status.sendall(f"{number}\n".encode())


def _received(control: socket.socket, size: int) -> dict[str, Any]:
    parts = bytearray()
    while len(parts) < size:
        parts += control.recv(size - len(parts))
    return dict(json.loads(parts))


def _readable(status: socket.socket, seconds: float | None) -> bool:
    return bool(select.select([status], [], [], seconds)[0])


if __name__ == "__main__":
    last = Ending()
    atexit.register(last)  # before all others, and so called after them
    load_programs()
    assert len(psutil.Process().threads()) == 1, "what is forked may have no threads"
    gc.collect()
    gc.freeze()  # so that the children's collector leaves alone what they share
    if (asked := serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        become(asked, last)
