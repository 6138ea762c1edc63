"""What a deployment looks like from outside: the three programs, the topics, the tables."""

import json
import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import pytest
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import OffsetSpec
from sqlalchemy import Engine, text

from events.contract.types import ENTITIES, topic_of
from events.runtime import kafka
from events.runtime.settings import Settings
from tests.conftest import Result, RunCommand, StartCommand, WaitUntil
from tests.support import recorded
from tests.support.programs import Started

TopicPartition = tuple[str, int]

QUICK: Final = {
    "PROJECTOR_KAFKA__SESSION_TIMEOUT_MS": "2000",
    "PROJECTOR_KAFKA__HEARTBEAT_INTERVAL_MS": "500",
}
"""A group that notices a dead or paused member within seconds; the classic protocol's defaults take 45."""
EAGER: Final = {**QUICK, "PROJECTOR_KAFKA__PARTITION_ASSIGNMENT_STRATEGY": "range"}
COOPERATIVE: Final = {**QUICK, "PROJECTOR_KAFKA__PARTITION_ASSIGNMENT_STRATEGY": "cooperative-sticky"}
NEXT_GENERATION: Final = {"PROJECTOR_KAFKA__GROUP_PROTOCOL": "consumer"}
"""Its timeouts are the broker's; the sandbox's are as short."""


class Deployment(NamedTuple):
    """One database, four topics and one group of a test's own, and the programs that work on them."""

    settings: Settings
    environment: dict[str, str]
    engine: Engine
    run_command: RunCommand
    start_command: StartCommand
    wait_until: WaitUntil

    def command(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
        """Run one of the programs to its end."""
        return self.run_command(*arguments, stdin=stdin, env=self.environment | (env or {}))

    def simulate(self, *options: str) -> list[str]:
        """Return the lines of `events simulate`."""
        result = self.command("events", "simulate", *options)
        assert result.exit_code == 0, result.stderr
        return result.stdout.rstrip("\n").split("\n")

    def publish(self, lines: Sequence[str], *options: str) -> None:
        """Publish lines with `events publish`."""
        result = self.command("events", "publish", "-", *options, stdin="\n".join(lines))
        assert result.exit_code == 0, result.stderr

    def catch_up(self, env: dict[str, str] | None = None) -> Result:
        """Run the projector until it has caught up."""
        result = self.command("projector", "run", "--until-caught-up", env=env)
        assert result.exit_code == 0, result.stderr
        return result

    def consumer(self, env: dict[str, str] | None = None) -> Started:
        """Start a projector, and wait until it says that it has joined."""
        started = self.start(env)
        self.await_joined(started)
        return started

    def start(self, env: dict[str, str] | None = None) -> Started:
        """Start a projector that writes its log as JSON."""
        chosen = self.environment | {"PROJECTOR_LOG_FORMAT": "json"} | (env or {})
        return self.start_command("projector", "run", env=chosen)

    def await_joined(self, started: Started, times: int = 1) -> None:
        """Wait until a projector has said so many times that it has joined."""
        self.wait_until(lambda: len(records(started, "joined")) >= times or ended(started), what="the consumer to join")
        assert not ended(started), log(started)

    def ends(self) -> dict[TopicPartition, int]:
        """Ask the broker where each partition ends."""
        client = kafka.admin(self.settings)
        topics = [topic_of(entity, self.settings.topic_prefix) for entity in ENTITIES]
        asked = {
            KafkaPartition(topic, partition): OffsetSpec.latest()
            for topic in topics
            for partition in range(self.settings.topic_partitions)
        }
        found = client.list_offsets(asked)
        return {(place.topic, place.partition): future.result().offset for place, future in found.items()}

    def positions(self) -> dict[TopicPartition, int]:
        """Read where the group is."""
        rows = self.sql("SELECT topic, partition, next_offset FROM positions WHERE group_id = :group")
        return {(topic, partition): offset for topic, partition, offset in rows}

    def progress(self) -> int:
        """Count the messages that are applied."""
        return sum(self.positions().values())

    def await_progress(self, messages: int) -> None:
        """Wait until so many messages are applied."""
        self.wait_until(lambda: self.progress() >= messages, what=f"{messages} messages to be applied")

    def await_caught_up(self) -> None:
        """Wait until every message that is in the topics now is applied."""
        ends = self.ends()
        self.wait_until(lambda: self.positions() == ends, what="the positions to reach the ends")

    def sql(self, statement: str, **values: object) -> list[Any]:
        """Run one statement of the test's own."""
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), {"group": self.settings.group_id, **values})
            return list(result) if result.returns_rows else []

    def disagreement(self, lines: Sequence[str]) -> str:
        """Say how the database differs from what these events amount to; an empty text where it doesn't."""
        with self.engine.connect() as connection:
            return recorded.disagreement(lines, connection)

    def drift_check(self, *options: str) -> Result:
        """Run the auditor."""
        return self.command("backfill", "drift-check", *options)


@pytest.fixture
def deployment(  # noqa: PLR0913, PLR0917 - fixtures
    kafka_settings: Settings,
    kafka_environment: dict[str, str],
    engine: Engine,
    run_command: RunCommand,
    start_command: StartCommand,
    wait_until: WaitUntil,
) -> Deployment:
    return Deployment(kafka_settings, kafka_environment, engine, run_command, start_command, wait_until)


def log(started: Started) -> str:
    """Read what a program has written to standard error so far."""
    return started.stderr.read_text()


def records(started: Started, event: str) -> list[dict[str, Any]]:
    """Read the log records of one kind that a consumer has written so far."""
    lines = (json.loads(line) for line in log(started).split("\n")[:-1] if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


def ended(started: Started) -> bool:
    """Tell whether a program has ended."""
    return started.process.poll() is not None


def wait_for_exit(started: Started, seconds: float = 120.0) -> int:
    """Wait for a program to end; return its exit code."""
    return started.process.wait(seconds)


def one_line(result: Result, exit_code: int, *words: str) -> bool:
    """Tell whether a program failed as documented: this code, one line on standard error with these words in it."""
    lines = result.stderr.strip().split("\n")
    assert result.exit_code == exit_code, result
    assert len(lines) == 1, result.stderr
    assert all(word in lines[0] for word in words), lines[0]
    return True


def shuffled(lines: Sequence[str], seed: int) -> list[str]:
    """Return the lines in another order."""
    return random.Random(seed).sample(lines, len(lines))
