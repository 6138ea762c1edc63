"""Programs as processes of their own that start in milliseconds: forks of an interpreter that has imported them all.

Half of a short run would otherwise be imports. A child is an ordinary process: it has its own arguments, environment,
folder and streams, runs the program's `main`, and ends as an interpreter ends.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from projector.sandbox.processes import wait_until

IMPORTED: Final = (
    "events.cli", "events.runtime.logs", "events.runtime.settings", "projector.cli", "projector.consume.consumer",
    "projector.database.engines", "projector.deployment.schema", "projector.positions.store",
    "projector.status.status", "backfill.cli", "backfill.execution.runner",
)  # fmt: skip


@dataclass
class Child:
    """One program that was started."""

    pid: int
    args: tuple[str, ...] = ()
    exit_code: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, as `subprocess` writes it; None while it runs."""
        return self.exit_code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has, and the nursery has yet to say so
                os.kill(self.pid, number)

    def wait(self, seconds: float = 30) -> int:
        """Wait for its end."""
        assert wait_until(lambda: self.exit_code is not None, seconds=seconds), f"{self.args} does not end"
        return self.exit_code or 0


class Nursery:
    """The interpreter that is forked."""

    def __init__(self) -> None:
        self._interpreter = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=Path(__file__).parents[2], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._living: dict[int, Child] = {}  # by process id, which a later child may have again
        self._born = queue.Queue[Child]()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(self, *command: str, env: Mapping[str, str], folder: Path, stdout: Path, stderr: Path) -> Child:
        """Start one of the programs."""
        request = {
            "command": command, "env": dict(env), "folder": str(folder), "stdout": str(stdout), "stderr": str(stderr)
        }  # fmt: skip
        stdout.touch()
        stderr.touch()
        assert self._interpreter.stdin is not None
        self._interpreter.stdin.write(json.dumps(request) + "\n")
        self._interpreter.stdin.flush()
        try:
            child = self._born.get(timeout=60)
        except queue.Empty:
            raise AssertionError("the nursery does not answer") from None
        child.args = command
        return child

    def close(self) -> None:
        """End the interpreter; its children have ended before."""
        self._interpreter.communicate(timeout=30)
        self._listener.join()

    def _listen(self) -> None:
        assert self._interpreter.stdout is not None
        for line in self._interpreter.stdout:
            pid, exit_code = json.loads(line)
            if exit_code is None:
                self._living[pid] = Child(pid)
                self._born.put(self._living[pid])
            else:
                self._living.pop(pid).exit_code = exit_code


def serve() -> Mapping[str, Any] | None:
    """Fork for each request; return it in the child, and None in the parent once there are no more."""

    def collect(_number: int, _frame: object) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            _say(pid, os.waitstatus_to_exitcode(status))

    signal.signal(signal.SIGCHLD, collect)
    for line in sys.stdin:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # so that a birth is told before a death
        pid = os.fork()
        if not pid:
            return dict(json.loads(line))
        _say(pid, None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    return None


def live(request: Mapping[str, Any]) -> None:
    """Become the program."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    streams = ((os.devnull, os.O_RDONLY), (request["stdout"], os.O_WRONLY), (request["stderr"], os.O_WRONLY))
    for number, (path, flags) in enumerate(streams):
        opened = os.open(path, flags | os.O_CREAT | os.O_TRUNC * (number > 0), 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    program, *_ = sys.argv = request["command"]
    import_module(f"{program}.cli").main()


def _say(pid: int, exit_code: int | None) -> None:
    os.write(1, f"{json.dumps([pid, exit_code])}\n".encode())


if __name__ == "__main__":
    for module in IMPORTED:
        import_module(module)
    if (asked := serve()) is not None:
        live(asked)
