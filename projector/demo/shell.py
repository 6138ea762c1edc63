"""Commands as processes, in an environment where only the sandbox is known."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from events.runtime.errors import StateError, WorkFailedError
from events.runtime.settings import PREFIX
from projector.demo.output import Narrator
from projector.sandbox.processes import last_line
from projector.sandbox.sandbox import Sandbox

COMMAND_SECONDS: Final = 120.0  # a command that takes longer counts as hung
STOP_SECONDS: Final = 30.0  # more than the consumer's own time budget
BURST_SECONDS: Final = 0.05  # between two writes of a flow
LOG: Final = "consumer.log"

Command = tuple[str, ...]


class Result(NamedTuple):
    """The exit code and output of a command."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def document(self) -> Any:  # noqa: ANN401 - each command has its own document
        """Parse the output of `--format json`."""
        return json.loads(self.stdout)

    @property
    def complaint(self) -> str:
        """The last line on standard error."""
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing on standard error"


@dataclass(frozen=True)
class Shell:
    """A shell in the sandbox's working folder: no `.env` is read, and its processes end with the sandbox."""

    folder: Path
    environment: dict[str, str]
    narrator: Narrator

    def type(self, *commands: Command, expect: int = 0) -> Result:
        """Type commands joined by pipes and wait for them.

        Raises:
            WorkFailedError: the last one did not exit with `expect`, or another one not with 0.

        """
        self.narrator.typed(" | ".join(shlex.join(command) for command in commands))
        return self.run(*commands, expect=expect)

    def run(self, *commands: Command, expect: int = 0) -> Result:
        """Do the same without printing the commands."""
        *sources, last = commands
        with self._piped(sources) as source, _timeout(last):
            done = subprocess.run(  # noqa: S603
                self._found(last), stdin=source, capture_output=True, timeout=COMMAND_SECONDS, check=False,
                cwd=self.folder, env=self.environment, start_new_session=True,
            )  # fmt: skip
        result = Result(done.returncode, done.stdout, done.stderr)
        if result.exit_code != expect:
            how = f"exited with {result.exit_code} instead of {expect}"
            raise WorkFailedError(f"`{shlex.join(last)}` {how}: {result.complaint}")
        return result

    @contextmanager
    def background(self, *command: str) -> Iterator["Background"]:
        """Type a command that runs in the background; it ends with the block, however that ends."""
        self.narrator.typed(f"{shlex.join(command)} 2> {LOG} &")
        with (self.folder / LOG).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                self._found(command), stdin=subprocess.DEVNULL, stderr=log,
                cwd=self.folder, env=self.environment, start_new_session=True,
            )  # fmt: skip
        try:
            yield Background(process, self.folder / LOG)
        finally:
            end(process)

    @contextmanager
    def flow(self, lines: Sequence[bytes], *command: str, per_second: int) -> Iterator["Flow"]:
        """Feed lines to a command at a steady pace, in the background."""
        process = subprocess.Popen(  # noqa: S603
            self._found(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=self.folder, env=self.environment, start_new_session=True,
        )  # fmt: skip
        flow = Flow(process, command, lines, per_second)
        try:
            yield flow
        finally:
            flow.ask_to_stop()
            end(process)

    @contextmanager
    def _piped(self, sources: Sequence[Command]) -> Iterator[Any]:
        """Run the command before the pipe, and yield its output."""
        if not sources:
            yield subprocess.DEVNULL
            return
        (source,) = sources
        with subprocess.Popen(  # noqa: S603
            self._found(source), stdout=subprocess.PIPE, cwd=self.folder, env=self.environment, start_new_session=True
        ) as process:
            try:
                yield process.stdout
            finally:
                if process.stdout:
                    process.stdout.close()
        if process.returncode:
            raise WorkFailedError(f"`{shlex.join(source)}` exited with {process.returncode}")

    def _found(self, command: Sequence[str]) -> list[str]:
        """Find a program beside this interpreter, where it is installed together with this one, or on the path.

        Raises:
            StateError: it is not installed.

        """
        program, *arguments = command
        beside = Path(sys.executable).parent / program
        found = str(beside) if beside.is_file() else shutil.which(program)
        if found is None:
            raise StateError(f"the demo types `{program}`, and that program is not installed")
        return [found, *arguments]


class Background(NamedTuple):
    """A command in the background, and its log in JSON."""

    process: subprocess.Popen[bytes]
    log: Path

    def records(self, event: str) -> list[dict[str, Any]]:
        """Read the log's records of one kind."""
        lines = self.log.read_text().split("\n")[:-1]
        return [record for line in lines if line.startswith("{") and (record := json.loads(line))["event"] == event]

    @property
    def complaint(self) -> str:
        """The last line of its log."""
        return last_line(self.log)


class Flow:
    """Lines that are written to a command's standard input at a steady pace."""

    def __init__(
        self, process: subprocess.Popen[bytes], command: Command, lines: Sequence[bytes], per_second: int
    ) -> None:
        self._process = process
        self._command = command
        self._lines = lines
        self._lines_at_once = max(1, round(per_second * BURST_SECONDS))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="flow", daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Write no more lines."""
        self._stopped.set()

    def stop(self) -> Result:
        """Write no more lines, close the command's standard input, and wait until it has sent what it has read."""
        self.ask_to_stop()
        self._thread.join(COMMAND_SECONDS)
        with _timeout(self._command):
            stdout, stderr = self._process.communicate(timeout=COMMAND_SECONDS)
        return Result(self._process.returncode, stdout, stderr)

    def _feed(self) -> None:
        pipe = self._process.stdin
        if pipe is None:
            return
        with suppress(BrokenPipeError):  # the command ended by itself; `stop` reports how
            for start in range(0, len(self._lines), self._lines_at_once):
                if self._stopped.wait(BURST_SECONDS):
                    return
                pipe.writelines(self._lines[start : start + self._lines_at_once])
                pipe.flush()


@contextmanager
def _timeout(command: Command) -> Iterator[None]:
    try:
        yield
    except subprocess.TimeoutExpired:
        raise WorkFailedError(f"`{shlex.join(command)}` had not ended after {COMMAND_SECONDS:.0f} s") from None


def end(process: subprocess.Popen[bytes]) -> int:
    """End a process with SIGTERM, or with SIGKILL if that takes too long; return its exit code."""
    process.terminate()
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def open_shell(sandbox: Sandbox, narrator: Narrator) -> Shell:
    """Open a shell whose settings are those of the sandbox, and none of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    chosen = {"PROJECTOR_LOG_FORMAT": "json"}
    sandbox.workplace.mkdir()
    return Shell(sandbox.workplace, {**kept, **sandbox.environment, **chosen}, narrator)
