"""The servers that the faults befall: PostgreSQL on a disk of its own, Kafka behind a proxy.

A sandbox of this suite's own, so that no other test's server is touched. Programs get at Kafka through a listener whose
advertised address is the proxy's; the tests themselves go past it.
"""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from pydantic import SecretStr

from events.settings import Settings
from projector import schema
from projector.database import make_engine
from projector.sandbox.kafka import Kafka
from projector.sandbox.local import throwaway
from projector.sandbox.ports import HOST, free_port
from projector.sandbox.postgres import Postgres
from projector.sandbox.processes import wait_until
from tests.faults.proxy import Proxy

DISK_MB: Final = 1024
SHRINK_SECONDS: Final = 10.0
ROOM_KB: Final = 64  # what a full disk still takes
TEMPLATE: Final = "faults_template"
CONSUMER_SESSION_MS: Final = 2000  # a group of the new protocol that notices a dead member as soon as the old one's


@dataclass(frozen=True)
class ProxiedKafka(Kafka):
    """A broker with one more listener, which sends its clients to a proxy."""

    inner: int
    outer: int

    def _configure(self, file: Path, ports: Mapping[str, int], data: Path) -> None:
        super()._configure(file, ports, data)
        given = dict(line.split("=", 1) for line in file.read_text().splitlines())
        given["listeners"] += f",PROXIED://{HOST}:{self.inner}"
        given["advertised.listeners"] += f",PROXIED://{HOST}:{self.outer}"
        given["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
        given["inter.broker.listener.name"] = "PLAINTEXT"
        given["group.consumer.session.timeout.ms"] = str(CONSUMER_SESSION_MS)
        file.write_text("".join(f"{name}={value}\n" for name, value in given.items()))


@dataclass(frozen=True)
class Disk:
    """A file system in memory, as large as it is told to be."""

    folder: Path

    def mount(self) -> None:
        """Make it."""
        self.folder.mkdir(mode=0o711)
        _mount("-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=711", "tmpfs", str(self.folder))

    def fill(self) -> None:
        """Leave next to no room on it."""
        assert wait_until(self._shrink, seconds=SHRINK_SECONDS), f"{self.folder} cannot be made smaller"

    def _shrink(self) -> bool:
        """Take the room away that is there; not where somebody has used some of it meanwhile."""
        used_kb = shutil.disk_usage(self.folder).used >> 10
        command = ["mount", "-o", f"remount,size={used_kb + ROOM_KB}k", str(self.folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def free(self) -> None:
        """Give the room back."""
        _mount("-o", f"remount,size={DISK_MB}m", str(self.folder))

    def unmount(self) -> None:
        """Remove it; whoever still uses it keeps it until he ends."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Both servers, and what can be done to them."""

    postgres: Postgres
    kafka: Kafka
    kafka_proxy: Proxy
    disk: Disk

    @property
    def postgres_port(self) -> int:
        """Where PostgreSQL really listens."""
        return int(self.postgres.url.rpartition(":")[2].partition("/")[0])

    def settings(self, database: str, **more: object) -> Settings:
        """Go past every proxy, to a database."""
        return Settings(
            _env_file=None,
            database_url=SecretStr(self.url(database)),
            kafka_bootstrap_servers=self.kafka.bootstrap_servers,
        ).model_copy(update=more)

    def url(self, database: str, port: int | None = None) -> str:
        """Address a database, directly or by a proxy's port."""
        base = self.postgres.url.rpartition("/")[0]
        return f"{base.rpartition(':')[0]}:{port or self.postgres_port}/{database}"

    def administer(self, statement: str) -> None:
        """Run one statement on no test's database."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def heal_disk(self) -> None:
        """Give the disk its room back; PostgreSQL may have given up without it."""
        self.disk.free()
        self.postgres.start()

    def heal(self) -> None:
        """Undo whatever a run did to them."""
        self.kafka_proxy.back()
        self.heal_disk()
        self.kafka.start()


@contextmanager
def started() -> Iterator[Servers]:
    """Give running servers with a migrated template; nothing of them is left afterwards."""
    with throwaway(started=False) as sandbox:
        disk = Disk(sandbox.postgres.home)
        disk.mount()
        inner = free_port()
        proxy = Proxy(inner)
        broker = ProxiedKafka(sandbox.kafka.home, inner, proxy.port)
        servers = Servers(postgres=sandbox.postgres, kafka=broker, kafka_proxy=proxy, disk=disk)
        try:
            servers.heal()
            servers.administer(f'CREATE DATABASE "{TEMPLATE}"')
            engine = make_engine(servers.settings(TEMPLATE), program="tests")
            schema.upgrade(engine, "billing")
            engine.dispose()
            yield servers
        finally:
            sandbox.postgres.kill()
            broker.kill()
            proxy.close()
            disk.unmount()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
