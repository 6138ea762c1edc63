"""The servers that the faults befall: PostgreSQL on a disk of its own, Kafka behind a proxy.

A sandbox of this suite's own, so that no other test's server is touched. Programs get at Kafka through a listener whose
advertised address is the proxy's; the tests themselves go past it.
"""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from pydantic import SecretStr

from events.runtime.settings import Settings
from projector.database.engines import make_engine
from projector.deployment import schema
from projector.sandbox.kafka import Kafka
from projector.sandbox.ports import HOST, free_port
from projector.sandbox.postgres import Postgres
from projector.sandbox.sandbox import throwaway
from tests.faults.disk import Disk, under
from tests.faults.proxy import Proxy
from tests.support.hostile_sessions import EVERYTHING, Hostile, create

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


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Both servers, and what can be done to them."""

    postgres: Postgres
    kafka: Kafka
    kafka_proxy: Proxy
    disk: Disk
    hostile: Hostile

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

    def copy_logs(self) -> None:
        """Keep a copy of Kafka's folder as it is now."""
        self.kafka.stop()
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._logs, self._copy)
        self.kafka.start()

    def restore_logs(self) -> None:
        """Put the copy in the folder's place: what was sent since is gone; topics' ids and epochs are as they were."""
        self.kafka.kill()
        shutil.rmtree(self._logs)
        shutil.copytree(self._copy, self._logs)
        self.kafka.start()

    @property
    def _logs(self) -> Path:
        return self.kafka.home / "data"

    @property
    def _copy(self) -> Path:
        return self.kafka.home / "copy"

    def heal(self) -> None:
        """Undo whatever a run did to them."""
        self.kafka_proxy.back()
        self.heal_disk()
        self.kafka.start()


@contextmanager
def started() -> Iterator[Servers]:
    """Give running servers with a migrated template; nothing of them is left afterwards."""
    with throwaway(started=False) as sandbox:
        disk = under(sandbox.postgres)
        inner = free_port()
        proxy = Proxy(inner)
        broker = ProxiedKafka(sandbox.kafka.home, inner, proxy.port)
        hostile = Hostile("hostile", secrets.token_hex(8))
        servers = Servers(postgres=sandbox.postgres, kafka=broker, kafka_proxy=proxy, disk=disk, hostile=hostile)
        try:
            servers.heal()
            servers.administer(f'CREATE DATABASE "{TEMPLATE}"')
            engine = make_engine(servers.settings(TEMPLATE), program="tests")
            schema.upgrade(engine, "billing")
            engine.dispose()
            with psycopg.connect(servers.url("postgres"), autocommit=True) as connection:
                create(connection, hostile, member_of=EVERYTHING)
            yield servers
        finally:
            sandbox.postgres.kill()
            broker.kill()
            proxy.close()
            disk.close()
