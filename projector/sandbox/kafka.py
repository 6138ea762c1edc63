"""Apache Kafka itself on loopback: one KRaft node, broker and controller in one process.

The storage is formatted in a folder beside the final one and then renamed, so an incomplete format never has the final
name.
"""

import json
import logging
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from events.runtime.errors import ServiceUnavailableError
from projector.sandbox import class_archive, processes
from projector.sandbox.folder import prepare
from projector.sandbox.jars import class_path
from projector.sandbox.java import find_java
from projector.sandbox.ports import HOST, settle, stored

START_SECONDS: Final = 120
STOP_SECONDS: Final = 30
PROBE_SECONDS: Final = 1.0
JVM: Final = (
    "-Xmx512m",
    # Halves the time to the first answer on two busy cores; the lower peak rate is beyond what one node's clients need.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",  # would leave a file in the system's temporary folder
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    # One node holds one copy of everything.
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Few partitions start faster; a sandbox has few groups.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    # A missing topic is an error, as in production.
    "auto.create.topics.enable": "false",
    # A group starts at once, and a killed consumer is noticed within seconds.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    # A killed broker can return only after its old session has ended, by default after 9 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # The default of 128 MB is a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
}

_silent = logging.getLogger("projector.sandbox.kafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False  # connections are refused while the server starts


@dataclass(frozen=True)
class Kafka:
    """One broker, whose data, ports and log are in `home`."""

    home: Path

    @property
    def bootstrap_servers(self) -> str:
        """The address, as `PROJECTOR_KAFKA_BOOTSTRAP_SERVERS` takes it."""
        return f"{HOST}:{stored(self._ports)['broker']}"

    @property
    def running(self) -> bool:
        """Whether the broker's process runs."""
        return self.process() is not None

    @property
    def log(self) -> Path:
        """The broker's log."""
        return self.home / "kafka.log"

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def _ports(self) -> Path:
        return self.home / "ports.json"

    @property
    def _properties(self) -> Path:
        return self.home / "server.properties"

    def process(self) -> psutil.Process | None:
        """Find the broker."""
        return processes.find(lambda line: line[-2:] == ["kafka.Kafka", str(self._properties)])

    def start(self) -> None:
        """Start the broker unless it runs; return when it accepts messages.

        Raises:
            ServiceUnavailableError: with the last line of its log.

        """
        if not self.running:
            prepare(self.home.parent)
            self.home.mkdir(mode=0o700, exist_ok=True)
            command, archive = java_command(self.home)
            ports = settle(self._ports, "broker", "controller")
            if not self._data.exists():
                self._format(command, ports)
            self._configure(self._properties, ports, self._data)
            self.log.unlink(missing_ok=True)
            command += class_archive.writing(archive, self.home)
            processes.launch([*command, "kafka.Kafka", str(self._properties)], log=self.log)
        self._await_answer()
        self._await_producer_ids()

    def stop(self) -> None:
        """Stop the broker; keep the archive of classes that one without it writes as it ends."""
        process = self.process()
        if process is not None and processes.stop(process, seconds=STOP_SECONDS):
            class_archive.keep(self.home)

    def kill(self) -> None:
        """Kill the broker, as a power failure would."""
        process = self.process()
        processes.kill([process] if process else [])

    def delete(self) -> None:
        """Remove the data of a stopped broker."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _configure(self, file: Path, ports: Mapping[str, int], data: Path) -> None:
        broker, controller = (f"{HOST}:{ports[name]}" for name in ("broker", "controller"))
        places = {
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "controller.quorum.bootstrap.servers": controller,
            "log.dirs": str(data),
        }
        file.write_text("".join(f"{name}={value}\n" for name, value in {**SETTINGS, **places}.items()))

    def _format(self, java: list[str], ports: Mapping[str, int]) -> None:
        partial, properties, log = self.home / "data.partial", self.home / "format.properties", self.home / "format.log"
        processes.kill(processes.about(properties))  # left by an `up` that was killed
        shutil.rmtree(partial, ignore_errors=True)
        self._configure(properties, ports, partial)
        cluster_id = "M" + secrets.token_urlsafe(16)[1:]  # Kafka's ids are 16 bytes and do not begin with a dash
        command = [*java, "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id, "-c", str(properties)]
        try:
            with log.open("wb") as output:
                subprocess.run(command, check=True, stdout=output, stderr=output, timeout=START_SECONDS)  # noqa: S603
        except (subprocess.SubprocessError, OSError):
            raise ServiceUnavailableError(f"Kafka's storage: {processes.last_line(log)}; see {log}") from None
        partial.rename(self._data)

    def _await_answer(self) -> None:
        backoff = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100}
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers, **backoff}, logger=_silent)
        if not processes.wait_until(lambda: self._answers(client), seconds=START_SECONDS):
            raise ServiceUnavailableError(f"Kafka in {self.home} does not answer; see {self.log}")

    def _await_producer_ids(self) -> None:
        """Wait until a producer gets its id: a new broker refuses the first requests, and clients log each refusal."""
        states: list[str] = []
        client = Producer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "enable.idempotence": True,
                "statistics.interval.ms": 20,
                "stats_cb": lambda figures: states.append(json.loads(figures)["eos"]["idemp_state"]),
            },
            logger=_silent,
        )
        if not processes.wait_until(lambda: client.poll(0) >= 0 and "Assigned" in states, seconds=START_SECONDS):
            raise ServiceUnavailableError(f"Kafka in {self.home} takes no messages; see {self.log}")

    def _answers(self, client: AdminClient) -> bool:
        try:
            return bool(client.list_topics(timeout=PROBE_SECONDS).brokers)
        except KafkaException:
            if not self.running:
                raise ServiceUnavailableError(
                    f"Kafka in {self.home} stopped: {processes.last_line(self.log)}"
                ) from None
            return False


def java_command(home: Path) -> tuple[list[str], Path]:
    """Return how to run Kafka's programs, without the program's name, and the place of their archive of classes.

    Raises:
        SettingError: there is no Java.
        ServiceUnavailableError: Kafka's jars cannot be fetched.
        StateError: they are not the pinned ones.

    """
    java, arguments = find_java(), [*JVM, "-cp", class_path()]
    archive = class_archive.place(java, arguments)
    return [str(java), *arguments, *class_archive.reading(archive), f"-Djava.io.tmpdir={home}"], archive
