"""Both servers in one folder: permanent for a developer, or thrown away after a test or a demo."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from events.runtime.errors import ServiceUnavailableError, StateError
from projector.sandbox import processes
from projector.sandbox.folder import LOCK, locked, shared_cache, temporary
from projector.sandbox.kafka import Kafka
from projector.sandbox.postgres import Postgres

CLEAN_UP_SECONDS: Final = 60
POSTGRES: Final = "PostgreSQL"
KAFKA: Final = "Apache Kafka"


@dataclass(frozen=True)
class Sandbox:
    """PostgreSQL and Kafka whose data lies in one folder.

    Args:
        folder: of their data, ports and logs.
        durable: whether what PostgreSQL commits outlives a power cut, as in production.

    """

    folder: Path
    durable: bool = True

    @property
    def postgres(self) -> Postgres:
        """The database server, to be started, stopped or killed by itself."""
        return Postgres(self.folder / "postgres", self.durable)

    @property
    def kafka(self) -> Kafka:
        """The broker, to be started, stopped or killed by itself."""
        return Kafka(self.folder / "kafka")

    @property
    def workplace(self) -> Path:
        """The working folder of programs that have to end with a throw-away sandbox, even if its owner is killed."""
        return self.folder / "work"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that connect the three programs to this sandbox.

        Raises:
            StateError: one of the servers is not running.

        """
        if not (self.postgres.running and self.kafka.running):
            raise StateError(f"the sandbox in {self.folder} is not running: run `projector sandbox up`")
        return {
            "PROJECTOR_DATABASE_URL": self.postgres.url,
            "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
        }

    def up(self, say: Callable[[str], object] = lambda _: None) -> dict[str, str]:
        """Start what does not run, complete what was interrupted, and return the environment.

        Args:
            say: takes a line before each step that takes seconds.

        """
        with locked(self.folder):
            for name, server in ((POSTGRES, self.postgres), (KAFKA, self.kafka)):
                if not server.running:
                    say(f"starting {name}")
                server.start()
            return self.environment

    @property
    def has_data(self) -> bool:
        """Whether there is anything of either server in the folder."""
        return self.postgres.home.exists() or self.kafka.home.exists()

    def down(self, *, delete: bool = False) -> list[str]:
        """Stop what runs, and return its names; with `delete`, also remove the data, but nothing else in the folder."""
        if not self.folder.exists():
            return []
        with locked(self.folder):
            servers = ((POSTGRES, self.postgres), (KAFKA, self.kafka))
            stopped = [name for name, server in servers if server.running]
            self.kafka.stop()
            self.postgres.stop()
            if delete:
                self.kafka.delete()
                self.postgres.delete()
                (self.folder / LOCK).unlink(missing_ok=True)
        if delete:
            with suppress(OSError):  # it contains other files of the user
                self.folder.rmdir()
        return stopped

    def destroy(self) -> None:
        """Kill both servers and what runs in the working folder, and remove the folder."""
        processes.kill(processes.about(self.workplace))
        self.kafka.kill()
        self.postgres.abandon()
        self.postgres.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def at(folder: Path | None = None) -> Sandbox:
    """Return the sandbox of a folder, by default the user's own."""
    return Sandbox((folder or shared_cache() / "sandbox").expanduser().resolve())


@contextmanager
def throwaway(*, started: bool = True, durable: bool = True) -> Iterator[Sandbox]:
    """Give a sandbox in a temporary folder; nothing of it is left afterwards, even if this process is killed.

    One that need not be durable lies in memory, if there is room: an ext4 that has just deleted a database's hundreds
    of files takes ten times as long to make the next ones.

    The one who clears up is a process of its own that reads from a pipe: it works when the pipe closes, which the end
    of the block does, or the system when we are gone.
    """
    sandbox = Sandbox(temporary(in_memory=not durable), durable)
    command = [sys.executable, "-m", "projector.sandbox.cleanup_watchdog", str(sandbox.folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, start_new_session=True, env=environment
    ) as watch:
        try:
            if started:
                sandbox.up()
            yield sandbox
        finally:
            watch.communicate(timeout=CLEAN_UP_SECONDS)
    if watch.returncode:
        raise ServiceUnavailableError(f"the sandbox in {sandbox.folder} could not be removed")
