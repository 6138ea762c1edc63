"""One run's own database, topics, group and programs on the shared servers."""

import os
import random
import signal
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from confluent_kafka import KafkaError, Message, Producer

from events.contract.cloudevents import STRUCTURED_HEADERS
from events.contract.types import ENTITIES, topic_of
from events.runtime import kafka
from events.simulate.poison import poisoned
from events.simulate.render import Sent
from events.simulate.traffic import traffic
from projector.database.engines import make_engine
from projector.errors import TopicMissingError
from projector.kafka_log.partitions import describe_partitions, describe_topics
from projector.kafka_log.topics import create_topics
from projector.sandbox.processes import wait_until
from tests.faults.plan import Plan
from tests.faults.program import Program
from tests.faults.proxy import Proxy
from tests.faults.servers import TEMPLATE, Servers
from tests.support import hostile_sessions
from tests.support.deployment import COOPERATIVE, EAGER, NEXT_GENERATION, TopicPartition
from tests.support.programs import Programs, Started
from tests.support.written_down import write_down

PROTOCOLS: Final = {"range": EAGER, "cooperative-sticky": COOPERATIVE, "consumer": NEXT_GENERATION}
QUICK: Final = {
    "PROJECTOR_KAFKA__TOPIC_METADATA_REFRESH_INTERVAL_MS": "500",  # how soon new partitions are seen
    "PROJECTOR_SHUTDOWN_SECONDS": "5",
    "PROJECTOR_LOG_FORMAT": "json",
}
MOMENT_SECONDS: Final = 1.5  # how long a fault waits for the progress after which it is due
KNOWN_SECONDS: Final = 120.0  # until a broker that has created topics has heard of them, as `projector init` awaits
DELIVERY_MS: Final = "60000"
APPLIED: Final = "SELECT coalesce(sum(next_offset), 0) FROM billing.positions"
SESSIONS: Final = """
SELECT pid, client_port FROM pg_stat_activity
WHERE datname = current_database() AND application_name IN ('projector run', 'backfill') ORDER BY pid
"""


class FaultRun:
    """What the faults befall."""

    def __init__(self, plan: Plan, servers: Servers, programs: Programs, folder: Path) -> None:
        self.plan = plan
        self.servers = servers
        own = uuid.uuid4().hex[:8]
        self.database = f"run_{plan.seed}_{own}"
        servers.administer(f'CREATE DATABASE "{self.database}" TEMPLATE "{TEMPLATE}"')
        self.settings = servers.settings(
            self.database, group_id=f"g-{own}", topic_prefix=f"t-{own}", topic_partitions=plan.partitions
        )
        self.engine = make_engine(self.settings, program="tests")
        self.admin = kafka.admin(self.settings)
        create_topics(self.admin, self.settings)
        write_down(self.settings, self.admin)
        self.topics = [topic_of(entity, self.settings.topic_prefix) for entity in ENTITIES]
        assert wait_until(self._topics_are_known, seconds=KNOWN_SECONDS)
        self.sound: list[Sent] = []
        self.poison: set[tuple[str, int, int]] = set()
        self.outlived: set[tuple[str, int, int]] = set()  # poison that was read of a topic that has gone
        self.edits = 0  # by hand
        self.rewriting: Iterator[dict[str, Any]] | None = None
        self._undelivered: list[str] = []
        self._producer = self._make_producer()
        self._draw = random.Random(f"messages {plan.seed}")
        self._programs = programs
        self._folder = folder
        self._births = self._audits = 0
        self.consumers = [self._program(f"consumer {n}", self._start_consumer) for n in range(plan.consumers)]
        self.auditor = self._program("auditor", self._start_auditor)

    def _topics_are_known(self) -> bool:
        try:
            describe_topics(self.admin, self.topics)
        except TopicMissingError:
            return False
        return True

    def messages(self) -> list[tuple[Sent, bool]]:
        """Return what is to be sent in order, each with whether it is sound."""
        sent: list[tuple[Sent, bool]] = []
        for event in traffic(self.plan.traffic):
            sent.append((event, True))
            if self._draw.random() < self.plan.poison:
                sent.append((poisoned(event, self._draw.random()), False))
        return sent

    def send(self, messages: Sequence[tuple[Sent, bool]]) -> None:
        """Hand messages to Kafka; `delivered` waits for them."""
        for sent, sound in messages:
            if sound:
                self.sound.append(sent)
            self._producer.produce(
                topic_of(sent.entity, self.settings.topic_prefix), sent.line, sent.key,
                headers=list(STRUCTURED_HEADERS), on_delivery=self._taken if sound else self._poisoned,
            )  # fmt: skip
        self._producer.poll(0)

    def delivered(self) -> None:
        """Wait until Kafka has everything."""
        left = self._producer.flush(60)
        assert not left, f"{left} messages are still on their way"
        assert not self._undelivered, self._undelivered[0]

    def redeliver(self) -> None:
        """Send some of what was sent once more, in another order."""
        again = self._draw.sample(self.sound, len(self.sound) // 3)
        self.send([(sent, True) for sent in again])

    def reconnect(self) -> None:
        """Send by a new producer: a broker that was restored does not know how far the one before had come."""
        self._producer = self._make_producer()

    def places(self) -> dict[TopicPartition, int]:
        """Ask the broker for every partition, and where it ends."""
        return {place: log.high for place, log in describe_partitions(self.admin, self.topics).items()}

    def ends(self) -> dict[TopicPartition, int]:
        """Ask the broker where each partition ends that holds anything."""
        return {place: end for place, end in self.places().items() if end}

    def positions(self) -> dict[TopicPartition, int]:
        """Read where the group is."""
        rows = self.sql("SELECT topic, partition, next_offset FROM billing.positions WHERE next_offset > 0")
        return {(topic, partition): offset for topic, partition, offset in rows}

    def applied(self) -> int:
        """Count the messages that are applied; none while PostgreSQL does not say."""
        try:
            return int(self.sql(APPLIED)[0][0])
        except psycopg.Error:
            return 0

    def await_applied(self, messages: int, seconds: float = MOMENT_SECONDS) -> bool:
        """Wait until so many messages are applied, but no longer than a moment."""
        return wait_until(lambda: self.applied() >= messages, seconds=seconds)

    def sql(self, statement: str, *values: object) -> list[Any]:
        """Run one statement past the proxies."""
        with psycopg.connect(self.servers.url(self.database), autocommit=True, connect_timeout=2) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> list[tuple[int, int]]:
        """List the programs' sessions: process id, and the port they come from."""
        return self.sql(SESSIONS)

    def owner(self, port: int) -> Program | None:
        """Tell whose session comes from a port."""
        programs = (*self.consumers, self.auditor)
        return next((program for program in programs if port in program.proxy.ports()), None)

    def environment(self, proxy: Proxy) -> dict[str, str]:
        """Point a program at both servers through proxies."""
        own = self._environment(proxy)
        return hostile_sessions.environment(own, self.servers.hostile) if self.plan.hostile else own

    def _environment(self, proxy: Proxy) -> dict[str, str]:
        return {
            **os.environ,
            **PROTOCOLS[self.plan.protocol],
            **QUICK,
            "PROJECTOR_DATABASE_URL": self.servers.url(self.database, proxy.port),
            "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.servers.kafka_proxy.port}",
            "PROJECTOR_GROUP_ID": self.settings.group_id,
            "PROJECTOR_TOPIC_PREFIX": self.settings.topic_prefix,
            "PROJECTOR_BATCH_EVENTS_MAX": str(self.plan.batch_events_max),
            "PROJECTOR_METRICS_ADDRESS": "127.0.0.1:0",
        }

    def heal(self) -> None:
        """Undo what the faults did to servers, connections and running programs."""
        self.servers.heal()
        for program in (*self.consumers, self.auditor):
            program.proxy.back()
            program.send(signal.SIGCONT)

    def close(self) -> None:
        """End every program, and remove database and topics."""
        self.heal()
        for program in (*self.consumers, self.auditor):
            program.send(signal.SIGKILL)
            program.proxy.close()
        for future in self.admin.delete_topics(self.topics).values():
            future.result()
        self.engine.dispose()
        self.servers.administer(f'DROP DATABASE "{self.database}" WITH (FORCE)')
        os.truncate(self.servers.postgres.log, 0)  # it shares the small disk: hostile roles log every statement

    def _program(self, name: str, start: Callable[[Proxy], Started]) -> Program:
        proxy = Proxy(self.servers.postgres_port)
        return Program(name, proxy, lambda: start(proxy))

    def check(self, *command: str) -> Started:
        """Run one of the programs to its end."""
        started = self.begin(*command)
        started.process.wait(240)
        return started

    def begin(self, *command: str) -> Started:
        """Start one of the programs beside the others."""
        return self._start(*command, proxy=self.auditor.proxy)

    def _start_consumer(self, proxy: Proxy) -> Started:
        return self._start("projector", "run", proxy=proxy)

    def _start_auditor(self, proxy: Proxy) -> Started:
        self._audits += 1
        command = "rebuild" if self._audits % 2 else "drift-check"
        chunks = ("--chunk-size", str(self.plan.chunk_size), "--workers", str(self.plan.workers))
        return self._start("backfill", command, *chunks, proxy=proxy)

    def _start(self, *command: str, proxy: Proxy) -> Started:
        self._births += 1
        out, err = (self._folder / f"{command[0]}-{self._births}.{stream}" for stream in ("out", "err"))
        return self._programs.start_in(self._folder, *command, env=self.environment(proxy), stdout=out, stderr=err)

    def _make_producer(self) -> Producer:
        own = {"message.timeout.ms": DELIVERY_MS, "topic.metadata.refresh.interval.ms": 500}
        return kafka.producer(self.settings, **own)

    def _taken(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._undelivered.append(error.str())

    def _poisoned(self, error: KafkaError | None, message: Message) -> None:
        self._taken(error, message)
        self.poison.add((str(message.topic()), message.partition() or 0, message.offset() or 0))
