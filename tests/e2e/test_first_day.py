"""Whoever types what the page on the first day says, on an empty database, gets through to its last step."""

import os
import re
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from sqlalchemy import make_url

from projector.sandbox.wheel import binaries
from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.docs.pages import FENCE, ROOT, text_of
from tests.support.deployment import ended, log, records
from tests.support.services import Services

PAGE: Final = "docs/how-to/first-day.md"
USERS: Final = {"backfill": "auditor", "psql": "reports", "projector metrics": "reports"}
"""Who types a command, where that is not the user `consumer`."""
OWNERS: Final = ("projector init", "projector deployment", "events")
SERVICES: Final = ("projector run", "projector metrics --listen", "backfill drift-check --cover-within")
SHOWN: Final = "..."  # the password, as the page has it
SERVED: Final = "PROJECTOR_METRICS_ADDRESS"
SECOND_CHECK: Final = "SELECT 1 FROM billing.backfill_runs WHERE command = 'drift-check' OFFSET 1"
APPLIED: Final = "SELECT 1 FROM billing.meter_balances WHERE meter_id = 42"


class TypeCommand(Protocol):
    """Type a command, with settings in front of it."""

    def __call__(self, command: str, **more: str) -> tuple[int, str]: ...


class StartService(Protocol):
    """Start a command that goes on, with metrics or without."""

    def __call__(self, command: str, *, served: bool) -> str: ...


class FirstDay:
    """One empty database, a broker without the topics, and the users as they are created."""

    def __init__(self, services: Services) -> None:
        self.own = uuid.uuid4().hex[:12]
        self.services = services
        self.prefix = f"first-{self.own}"
        self.url = make_url(services.database_url).set(database=self._named("utility"))
        self.users: list[str] = []

    def _named(self, name: str) -> str:
        return f"{name}_{self.own}"

    def type_sql(self, statements: str) -> None:
        """Type a block of SQL, with names that no other test uses."""
        created = re.findall(r"CREATE ROLE (\w+)", statements)
        for name in ("utility", *created):
            statements = re.sub(rf"\b{name}\b", self._named(name), statements)
        self.users += created
        for statement in statements.split(";\n"):
            self.services.administer(statement)

    def environment(self, command: str) -> dict[str, str]:
        """Give a command the environment of the user who types it."""
        user = next((user for start, user in USERS.items() if command.startswith(start)), "consumer")
        url = self.url if command.startswith(OWNERS) else self.url.set(username=self._named(user), password=SHOWN)
        others = {name: value for name, value in os.environ.items() if not name.startswith("PROJECTOR_")}
        return {
            **others,
            "PROJECTOR_DATABASE_URL": url.render_as_string(hide_password=False),
            "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": self.services.kafka_bootstrap_servers,
            "PROJECTOR_TOPIC_PREFIX": self.prefix,
            "PROJECTOR_GROUP_ID": self.prefix,
            "PROJECTOR_LOG_FORMAT": "json",
        }

    def one(self, query: str) -> object:
        """Ask for one value, as the owner."""
        with psycopg.connect(self.url.render_as_string(hide_password=False)) as connection:
            row = connection.execute(query.encode()).fetchone()
            return row and row[0]

    def clear(self) -> None:
        """Leave the servers as they were."""
        database = self.url.database
        self.services.administer(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        roles = [f"{database}.billing.{role}" for role in ("projector", "backfill", "reader")]
        for role in (*map(self._named, self.users), *roles):
            self.services.administer(f'DROP ROLE IF EXISTS "{role}"')
        client = AdminClient({"bootstrap.servers": self.services.kafka_bootstrap_servers})
        made = [topic for topic in client.list_topics(timeout=10).topics if topic.startswith(self.prefix)]
        for future in client.delete_topics(made).values() if made else ():
            future.result()


@pytest.fixture
def first_day(services: Services) -> Iterator[FirstDay]:
    made = FirstDay(services)
    yield made
    made.clear()


@pytest.fixture
def type_command(run_command: RunCommand, first_day: FirstDay, tmp_path: Path) -> TypeCommand:
    """Type a command into a shell, as its user; return its exit code and what it printed."""

    def run(command: str, **more: str) -> tuple[int, str]:
        env = first_day.environment(command) | more
        if not command.startswith("psql "):
            done = run_command(*shlex.split(command), env=env)
            return done.exit_code, done.stdout + done.stderr
        path = {"PATH": f"{binaries()}{os.pathsep}{env['PATH']}"}
        with_shell = ["bash", "-c", command]
        shell = subprocess.run(with_shell, env=env | path, cwd=tmp_path, text=True, capture_output=True, check=False)
        return shell.returncode, shell.stdout + shell.stderr

    return run


@pytest.fixture
def start_service(start_command: StartCommand, wait_until: WaitUntil, first_day: FirstDay) -> StartService:
    """Start what goes on; return where it serves, once it is at work."""

    def start(command: str, *, served: bool) -> str:
        env = first_day.environment(command) | ({SERVED: "127.0.0.1:0"} if served else {})
        service = start_command(*shlex.split(command), env=env)
        at_work = partial(records, service, "serving metrics") if served else partial(first_day.one, SECOND_CHECK)
        wait_until(lambda: ended(service) or at_work(), what=f"{command} to be at work")
        assert not ended(service), log(service)
        return urlsplit(records(service, "serving metrics")[0]["address"]).netloc if served else ""

    return start


def _typed(block: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a block, each with the address in front of it."""
    for line in block.strip().split("\n"):
        if not line.startswith("export "):
            words = line.split()
            address = words[0].removeprefix(f"{SERVED}=") if words[0].startswith(SERVED) else ""
            yield line.removeprefix(f"{SERVED}={address} "), address


def test_its_commands_work_in_their_order(
    first_day: FirstDay,
    type_command: TypeCommand,
    start_service: StartService,
    wait_until: WaitUntil,
    tmp_path: Path,
) -> None:
    shutil.copy(ROOT / "tests/docs/examples.jsonl", tmp_path / "sample.jsonl")
    serves: dict[str, str] = {}
    for kind, block in FENCE.findall(text_of(PAGE)):
        if kind == "sql":
            first_day.type_sql(block)
            continue
        for command, address in _typed(block):
            if command.startswith(SERVICES):
                serves[address] = start_service(command, served=bool(address))
                continue
            more = {SERVED: serves[address]} if address else {}
            if command.startswith("projector health"):
                wait_until(lambda: type_command(command, **more)[0] == 0, what=command)  # noqa: B023
            exit_code, printed = type_command(command, **more)
            assert exit_code == 0, (command, printed)
            if command.startswith("projector deployment"):  # the source begins to publish
                assert type_command("events publish sample.jsonl")[0] == 0
            if command.startswith("projector status"):
                wait_until(lambda: first_day.one(APPLIED), what="what was published to be applied")
    assert len(serves) == len(SERVICES)
