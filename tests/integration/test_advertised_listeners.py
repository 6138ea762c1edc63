"""A broker that answers, and advertises an address that clients cannot use: the address is named, with what to set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from projector.sandbox.folder import temporary
from projector.sandbox.kafka import Kafka
from projector.sandbox.ports import HOST, free_port
from projector.sandbox.sandbox import Sandbox
from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.support import examples

UNKNOWN: Final = "broker.invalid"  # RFC 6761: a name that no resolver knows
LINE: Final = examples.line(examples.customer(1, "Omar")).decode()


@dataclass(frozen=True)
class MisadvertisedKafka(Kafka):
    """A broker with two more listeners: one advertises a name that is unknown, the other a port that is closed."""

    unknown: int
    closed: int

    def _configure(self, file: Path, ports: Mapping[str, int], data: Path) -> None:
        super()._configure(file, ports, data)
        given = dict(line.split("=", 1) for line in file.read_text().splitlines())
        given["listeners"] += f",UNKNOWN://{HOST}:{self.unknown},CLOSED://{HOST}:{self.closed}"
        given["advertised.listeners"] += f",UNKNOWN://{UNKNOWN}:9092,CLOSED://{HOST}:1"
        given["listener.security.protocol.map"] += ",UNKNOWN:PLAINTEXT,CLOSED:PLAINTEXT"
        given["inter.broker.listener.name"] = "PLAINTEXT"
        file.write_text("".join(f"{name}={value}\n" for name, value in given.items()))


@pytest.fixture(scope="module")
def broker() -> Iterator[MisadvertisedKafka]:
    sandbox = Sandbox(temporary())
    made = MisadvertisedKafka(sandbox.kafka.home, free_port(), free_port())
    made.start()
    yield made
    sandbox.destroy()


@pytest.fixture
def unknown(broker: MisadvertisedKafka, environment: dict[str, str]) -> dict[str, str]:
    return environment | {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{broker.unknown}"}


@pytest.mark.parametrize(
    "command", ["events publish -", "projector init", "projector status", "projector run --until-caught-up"]
)
def test_a_name_that_cannot_be_resolved_is_named_at_once(
    unknown: dict[str, str], run_command: RunCommand, command: str
) -> None:
    done = run_command(*command.split(), env=unknown, stdin=LINE)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"{UNKNOWN}:9092" in done.stderr
    assert "set advertised.listeners" in done.stderr


def test_verify_log_says_the_same(unknown: dict[str, str], run_command: RunCommand) -> None:
    done = run_command("backfill", "verify-log", env=unknown)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"advertises {UNKNOWN}:9092" in done.stderr


def test_a_consumer_waits_and_says_so_with_each_try(
    unknown: dict[str, str], start_command: StartCommand, wait_until: WaitUntil
) -> None:
    consumer = start_command("projector", "run", env=unknown)
    wait_until(lambda: consumer.stderr.read_text().count("retrying") > 1, what="two tries")
    assert consumer.process.poll() is None
    lines = consumer.stderr.read_text().splitlines()
    assert all(UNKNOWN in line and "set advertised.listeners" in line for line in lines)


def test_a_port_where_nothing_listens_is_named_as_well(
    broker: MisadvertisedKafka, environment: dict[str, str], run_command: RunCommand
) -> None:
    direct = environment | {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    assert run_command("projector", "init", env=direct).exit_code == 0
    closed = environment | {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{broker.closed}"}
    done = run_command("events", "publish", "-", env=closed, stdin=LINE)
    assert done.exit_code == 2
    last = done.stderr.splitlines()[-1]
    assert f"{HOST}:1/1: Connect to" in last
    assert "this address is advertised by a broker: set advertised.listeners" in last
