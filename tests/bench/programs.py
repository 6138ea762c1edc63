"""One of our programs as a process of its own: how it ended, what it logged, its time and its peak memory."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psutil

from events.runtime.errors import WorkFailedError

POLL_SECONDS: Final = 0.02
LIMIT_SECONDS: Final = 3600.0  # a program that takes longer is stuck


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A program that has ended; both peaks and processor time are its own alone, without PostgreSQL's and Kafka's."""

    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    resident_bytes: Sequence[int]  # looked at now and then, first to last
    stdout: Path
    log: Path

    def expect(self, *exit_codes: int) -> "Ended":
        """Demand one of these exit codes.

        Raises:
            WorkFailedError: with the last line of what the program wrote to standard error.

        """
        if self.exit_code not in exit_codes:
            last = self.log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise WorkFailedError(f"{self.log.stem} ended with {self.exit_code}: {last}")
        return self


def command(program: str, *arguments: str) -> list[str]:
    """Name the console script beside this interpreter."""
    return [str(Path(sys.executable).parent / program), *arguments]


def run(  # noqa: PLR0913 - where it runs, and what it is given
    folder: Path,
    name: str,
    program: str,
    *arguments: str,
    environment: Mapping[str, str],
    stdin: Path | None = None,
    stdout: Path | None = None,
) -> Ended:
    """Run a program to its end."""
    output, log = stdout or folder / f"{name}.out", folder / f"{name}.log"
    with ExitStack() as files:
        given = files.enter_context(stdin.open("rb")) if stdin else subprocess.DEVNULL
        out, err = (files.enter_context(file.open("wb")) for file in (output, log))
        begun = time.perf_counter()
        process = files.enter_context(
            subprocess.Popen(
                command(program, *arguments), env=environment, cwd=folder, stdin=given, stdout=out, stderr=err
            )
        )
        watched = _watch(process)
        wall_seconds = time.perf_counter() - begun
    return Ended(
        exit_code=process.returncode,
        wall_seconds=wall_seconds,
        cpu_seconds=watched.cpu_seconds,
        peak_bytes=watched.peak_bytes,
        resident_bytes=watched.resident_bytes,
        stdout=output,
        log=log,
    )


def records(log: Path, event: str) -> list[dict[str, Any]]:
    """Read the complete JSON log lines of one kind."""
    lines = (json.loads(line) for line in log.read_text().split("\n")[:-1] if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


def when(record: Mapping[str, Any]) -> float:
    """Return a log line's time in seconds."""
    return datetime.fromisoformat(record["timestamp"]).timestamp()


@dataclass
class _Watched:
    """What was seen of a process."""

    peak_bytes: int = 0
    cpu_seconds: float = 0.0
    resident_bytes: list[int] = field(default_factory=list)

    def look(self, process: psutil.Process) -> None:
        """Look once more; one that has just ended is left as it was."""
        with suppress(psutil.Error):
            self.peak_bytes = max(self.peak_bytes, peak_bytes(process))
            self.resident_bytes.append(process.memory_info().rss)
            times = process.cpu_times()
            self.cpu_seconds = max(self.cpu_seconds, times.user + times.system)


def _watch(process: subprocess.Popen[bytes]) -> _Watched:
    """Look at a process until it ends."""
    deadline = time.monotonic() + LIMIT_SECONDS
    looked_at, watched = psutil.Process(process.pid), _Watched()
    try:
        while True:
            watched.look(looked_at)
            try:
                process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    raise WorkFailedError(f"{process.args!r} still runs after {LIMIT_SECONDS:g} s") from None
            else:
                return watched
    finally:
        if process.poll() is None:
            process.kill()


def peak_bytes(process: psutil.Process) -> int:
    """Read Linux's high-water mark of resident memory, which misses no short peak; elsewhere what is resident now."""
    status = Path(f"/proc/{process.pid}/status")
    try:
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return int(process.memory_info().rss)
