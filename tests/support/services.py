"""The PostgreSQL and Kafka that tests run against, had in this order: given, Docker, native.

Given by `PROJECTOR_DATABASE_URL` and `PROJECTOR_KAFKA_BOOTSTRAP_SERVERS`; else containers, if Docker's daemon answers;
else the sandbox's own servers. What cannot be had is an error, never a skip. The container path runs only where a
daemon answers: on a machine without one it is not exercised by these tests.

Under pytest-xdist the workers share one native broker, whose start is dear and whose topics and groups no two tests
share; each has a PostgreSQL of its own, because roles and settings are a whole server's.
"""

import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from psycopg import Connection, sql

from projector.sandbox.folder import locked
from projector.sandbox.kafka import SETTINGS as BROKER_SETTINGS
from projector.sandbox.kafka import Kafka
from projector.sandbox.ports import HOST, free_port
from projector.sandbox.processes import wait_until
from projector.sandbox.sandbox import Sandbox, throwaway

POSTGRES_IMAGE: Final = "postgres:18"
KAFKA_IMAGE: Final = "apache/kafka:4.3.1"
PROBE_SECONDS: Final = 30
START_SECONDS: Final = 180
PING: Final = "from testcontainers.core.docker_client import DockerClient; DockerClient().client.ping()"


class Services:
    """Both services, each started when it is first asked for and ended with the session.

    Args:
        given: the variables that name services to use instead.
        shared: the folder of a sandbox whose broker others start and use too, and somebody else ends; None for one's
            own.

    """

    def __init__(self, given: Mapping[str, str], shared: Path | None = None) -> None:
        self._given, self._shared = given, shared
        self._open = ExitStack()

    @cached_property
    def database_url(self) -> str:
        """A server on which databases may be created."""
        if url := self._given.get("PROJECTOR_DATABASE_URL"):
            return url
        if self._docker_answers:
            return self._postgres_container()
        self._sandbox.postgres.start()
        _hasten_logins(self._sandbox.postgres.url)
        return self._sandbox.postgres.url

    @cached_property
    def kafka_bootstrap_servers(self) -> str:
        """A broker on which topics may be created."""
        if servers := self._given.get("PROJECTOR_KAFKA_BOOTSTRAP_SERVERS"):
            return servers
        if self._docker_answers:
            return self._kafka_container()
        return self._native_broker().bootstrap_servers

    def administer(self, statement: str) -> None:
        """Run one statement on no test's database."""
        try:
            self._administrator.execute(statement.encode())
        except psycopg.OperationalError:
            if not self._administrator.closed:
                raise
            del self._administrator  # a test has ended it, with all others of the server
            self._administrator.execute(statement.encode())

    def close(self) -> None:
        """End what was started here."""
        self._open.close()

    @cached_property
    def _administrator(self) -> Connection[Any]:
        return self._open.enter_context(psycopg.connect(self.database_url, autocommit=True))

    @cached_property
    def _sandbox(self) -> Sandbox:
        return self._open.enter_context(throwaway(started=False, durable=False))

    def _native_broker(self) -> Kafka:
        sandbox = self._sandbox if self._shared is None else Sandbox(self._shared)
        with locked(sandbox.folder):
            sandbox.kafka.start()
        return sandbox.kafka

    @cached_property
    def _docker_answers(self) -> bool:
        """Ask in a process of its own: a client that finds no daemon leaves an open socket behind."""
        try:
            probe = subprocess.run(
                [sys.executable, "-c", PING], capture_output=True, timeout=PROBE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return probe.returncode == 0

    def _postgres_container(self) -> str:
        from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - only where Docker is used

        container = self._open.enter_context(PostgresContainer(POSTGRES_IMAGE, driver=None))
        url = str(container.get_connection_url())
        assert wait_until(lambda: database_answers(url), seconds=START_SECONDS), f"{POSTGRES_IMAGE} does not answer"
        return url

    def _kafka_container(self) -> str:
        """Run the image on a port chosen beforehand, because the broker has to advertise the one that clients use."""
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - only where Docker is used

        port = free_port()
        places = {
            "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
            "controller.quorum.voters": "1@localhost:9093",
        }
        container = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
        for name, value in {**BROKER_SETTINGS, **places}.items():
            container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)
        self._open.enter_context(container)
        servers = f"{HOST}:{port}"
        assert wait_until(lambda: _broker_answers(servers), seconds=START_SECONDS), f"{KAFKA_IMAGE} does not answer"
        return servers


def _hasten_logins(url: str) -> None:
    """Let a password be checked by one round of hashing: 4,096 cost more than all else of a connection."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET scram_iterations = 1")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SET scram_iterations = 1")
        password = sql.Literal(connection.info.password)
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(connection.info.user), password))


def database_answers(url: str) -> bool:
    """Whether a session can be had at an address."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _broker_answers(servers: str) -> bool:
    try:
        return bool(AdminClient({"bootstrap.servers": servers, "log_level": 0}).list_topics(timeout=2).brokers)
    except KafkaException:
        return False
