"""A throw-away sandbox, the simulated events, and the settings that the programs run with."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import Connection
from pydantic import SecretStr

from events.runtime.errors import InputError, ServiceUnavailableError
from events.runtime.settings import Settings
from projector.sandbox.sandbox import Sandbox, throwaway
from tests.bench.plan import Plan
from tests.bench.processor import ProcessorTime
from tests.bench.programs import run

SCHEMA: Final = "billing"
MONTHS: Final = 120
"""More than any plan bills: the events stop by their number."""
_begun: Final = time.monotonic()


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One plan on one sandbox."""

    plan: Plan
    sandbox: Sandbox
    folder: Path
    settings: Settings
    environment: dict[str, str]

    @property
    def bulk(self) -> Path:
        """The events that lie in Kafka before the projector starts, as JSON Lines."""
        return self.folder / "bulk.jsonl"

    @property
    def tail(self) -> Path:
        """The events of the steady stream, which follow upon them."""
        return self.folder / "tail.jsonl"

    @contextmanager
    def connected(self, schema: str = SCHEMA) -> Iterator[Connection[Any]]:
        """Connect as a bystander would, with the server's own settings; each statement is a transaction."""
        url = self.settings.database_url.get_secret_value()
        with psycopg.connect(url, autocommit=True, options=f"-c search_path={schema}") as connection:
            yield connection

    def settle(self) -> None:
        """Write a checkpoint, so that no measurement pays for what the one before left in memory."""
        with self.connected() as connection:
            connection.execute("CHECKPOINT")

    def database_time(self) -> ProcessorTime:
        """Measure PostgreSQL's processor time, from entering it to leaving it."""
        server = self.sandbox.postgres.process()
        if server is None:
            raise ServiceUnavailableError(f"PostgreSQL is gone; see {self.sandbox.postgres.log}")
        return ProcessorTime(server)

    def publish(self) -> float:
        """Publish the bulk; return events a second."""
        done = run(self.folder, "publish", "events", "publish", str(self.bulk), environment=self.environment)
        done.expect(0)
        return self.plan.events / done.wall_seconds


def say(text: str) -> None:
    """Tell a person what is being done."""
    sys.stderr.write(f"bench {time.monotonic() - _begun:6.1f} s  {text}\n")
    sys.stderr.flush()


@contextmanager
def prepared(plan: Plan) -> Iterator[Workload]:
    """Start a sandbox with our schema and topics and simulate the events; nothing of it is left afterwards.

    The shell's `PROJECTOR_*` reach the programs, so that a setting can be measured; where the services are, does not.
    """
    say("starting PostgreSQL and Kafka")
    with throwaway() as sandbox:
        folder = sandbox.folder / "bench"
        folder.mkdir()
        environment = os.environ | sandbox.environment | {"PROJECTOR_LOG_FORMAT": "json", "PROJECTOR_SCHEMA": SCHEMA}
        settings = Settings(
            _env_file=None,
            database_url=SecretStr(environment["PROJECTOR_DATABASE_URL"]),
            kafka_bootstrap_servers=environment["PROJECTOR_KAFKA_BOOTSTRAP_SERVERS"],
        ).model_copy(update={"schema_name": SCHEMA})
        workload = Workload(plan=plan, sandbox=sandbox, folder=folder, settings=settings, environment=environment)
        run(folder, "init", "projector", "init", environment=environment).expect(0)
        if plan.needs_events:
            _simulate(workload)
        yield workload


def _simulate(workload: Workload) -> None:
    """Write the events to two files: what is there beforehand, and what follows."""
    plan = workload.plan
    say(f"simulating {plan.events + plan.tail:,} events")
    options = {
        "customers": plan.customers,
        "meters": plan.meters,
        "months": MONTHS,
        "events": plan.events + plan.tail,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    everything = workload.folder / "events.jsonl"
    run(
        workload.folder, "simulate", "events", "simulate", *arguments,
        environment=workload.environment, stdout=everything,
    ).expect(0)  # fmt: skip
    with everything.open("rb") as lines, workload.bulk.open("wb") as bulk, workload.tail.open("wb") as tail:
        bulk.writelines(islice(lines, plan.events))
        rest = sum(1 for line in lines if tail.write(line))
    everything.unlink()
    if rest < plan.tail:
        raise InputError(f"so few customers and meters have no {plan.events + plan.tail:,} events in {MONTHS} months")
