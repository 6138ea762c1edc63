"""How tests start the three programs: as forks of one interpreter, or as installed where a fork would differ."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Protocol

from projector.sandbox.processes import wait_until
from tests.support.fork_server import ForkServer

PAUSE_SECONDS: Final = 60.0


class Process(Protocol):
    """A program that was started, either way."""

    args: Any

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Started(NamedTuple):
    """A program that was started, and the files it writes to."""

    process: Process
    stdout: Path
    stderr: Path


def pause(process: Process) -> None:
    """Stop a program with SIGSTOP, and return when each of its threads has stopped.

    The signal is sent when `send_signal` returns, and no more than that: the thread that takes it may wait for a core
    while the others run on.
    """
    process.send_signal(signal.SIGSTOP)
    assert wait_until(lambda: _has_stopped(process.pid), seconds=PAUSE_SECONDS), "the program did not stop"


def _has_stopped(pid: int) -> bool:
    states = [file.read_text().rpartition(")")[2].split()[0] for file in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


class Programs:
    """Starts programs; the interpreter that is forked starts with the first of them."""

    def start(
        self,
        *command: str,
        env: Mapping[str, str],
        folder: Path,
        streams: Sequence[IO[Any]],
        as_installed: bool = False,
    ) -> Process:
        """Start one of the programs in a folder, with these as its standard input, output and error."""
        if not as_installed and self._server.suits(env):
            return self._server.start(*command, env=env, folder=folder, streams=streams)
        stdin, stdout, stderr = streams
        return subprocess.Popen(installed(*command), env=env, cwd=folder, stdin=stdin, stdout=stdout, stderr=stderr)

    def start_in(
        self,
        folder: Path,
        *command: str,
        env: Mapping[str, str],
        stdout: Path,
        stderr: Path,
        as_installed: bool = False,
    ) -> Started:
        """Start one of the programs in a folder, with nothing to read and files to write to.

        What the system tells of a fork's arguments and first environment is its server's; what is started as installed
        has its own.
        """
        with Path(os.devnull).open("rb") as nothing, stdout.open("wb") as out, stderr.open("wb") as err:
            streams = (nothing, out, err)
            process = self.start(*command, env=env, folder=folder, streams=streams, as_installed=as_installed)
        return Started(process, stdout, stderr)

    def run(
        self, *command: str, env: Mapping[str, str], folder: Path, stdin: str, timeout: float
    ) -> tuple[int, str, str]:
        """Run one of the programs to its end; return its exit code, output and errors.

        Raises:
            subprocess.TimeoutExpired: it did not end, and was killed.

        """
        with ExitStack() as stack:
            streams = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            streams[0].write(stdin.encode())
            streams[0].seek(0)
            process = self.start(*command, env=env, folder=folder, streams=streams)
            try:
                code = process.wait(timeout)
            finally:
                process.kill()
                process.wait()
            for stream in streams:
                stream.seek(0)
            _, stdout, stderr = (stream.read().decode().replace("\r\n", "\n") for stream in streams)
            return code, stdout, stderr

    def close(self) -> None:
        """End the interpreter, if it was started."""
        if "_server" in vars(self):
            self._server.close()

    @cached_property
    def _server(self) -> ForkServer:
        return ForkServer()


def installed(program: str, *arguments: str) -> list[str]:
    """Name the console script that is installed beside this interpreter."""
    return [str(Path(sys.executable).parent / program), *arguments]
