"""Fixtures on real services: one PostgreSQL a process, one Kafka a session, a database and topics a test.

    database_url       a clone of the migrated template, dropped afterwards
    settings           that database, a consumer group and topic names of this test's own; no Kafka is started
    kafka_settings     the same with a broker, and the four topics created
    engine             `projector.database.engines.make_engine` on `settings`
    environment        what a subprocess needs to work with `settings`
    kafka_environment  the same with Kafka
    run_command        run one of the three programs to its end
    programs           how programs are started, for the whole session
    start_command      start one of the three programs; killed afterwards if it still runs
    wait_until         wait for a condition, or fail saying which

Only what a test asks for is started: unit tests start nothing, tests of the database alone start no broker.
"""

import os
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, make_url

from events.contract.types import ENTITIES, topic_of
from events.runtime import kafka
from events.runtime.settings import Settings
from projector.database.engines import make_engine
from projector.deployment import schema
from projector.kafka_log.broker import Broker
from projector.kafka_log.topics import create_topics
from projector.sandbox import processes
from tests.property.hypothesis_profiles import wait_for_examples
from tests.support import secret_canaries
from tests.support.programs import Programs, Started
from tests.support.services import Services
from tests.support.written_down import write_down

wait_for_examples()

pytest_plugins: Final = tuple(
    f"tests.support.{name}" for name in ("workers", "engines", "pristine", "deployment", "merge_harness")
)

PARTITIONS: Final = 3  # enough for two consumers to share unevenly
COMMAND_SECONDS: Final = 120.0
TAIL: Final = 4000  # characters of a program's log that a failure shows


signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell that starts us in the background has it ignored, and so would every program that a test interrupts."""
os.environ.pop("COLUMNS", None)
"""A test's parallel worker has it set to 80; what programs print would depend on how the tests were started."""


@pytest.fixture(scope="session", autouse=True)
def _no_env_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Work where no developer's `.env` is read."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def template(services: Services) -> Iterator[str]:
    """Migrate a database once, for clones of it; return its name."""
    secret_canaries.watch_for(services.database_url)
    name = f"template_{uuid.uuid4().hex[:12]}"
    services.administer(f'CREATE DATABASE "{name}"')
    settings = _settings(_on(services, name))
    engine = make_engine(settings, program="tests")
    schema.upgrade(engine, settings.schema_name)
    engine.dispose()
    yield name
    services.administer(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def database_url(services: Services, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    services.administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield _on(services, name)
    services.administer(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def settings(database_url: str) -> Settings:
    return write_down(_settings(database_url))


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    made = make_engine(settings, program="tests")
    yield made
    made.dispose()


@pytest.fixture
def kafka_settings(settings: Settings, services: Services) -> Iterator[Settings]:
    found = settings.model_copy(update={"kafka_bootstrap_servers": services.kafka_bootstrap_servers})
    client = kafka.admin(found)
    create_topics(client, found)
    Broker(found).problems()  # waits: a broker acknowledges topics before it has heard of them itself
    yield write_down(found, client)
    topics = [topic_of(entity, found.topic_prefix) for entity in ENTITIES]
    left = client.list_topics(timeout=10).topics.keys() & topics
    for future in client.delete_topics(sorted(left)).values() if left else ():
        future.result()


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return _environment(settings)


@pytest.fixture
def kafka_environment(kafka_settings: Settings) -> dict[str, str]:
    return _environment(kafka_settings)


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    made = Programs()
    yield made
    made.close()


class Result(NamedTuple):
    """How a program ended and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str


class RunCommand(Protocol):
    """Run `events`, `projector` or `backfill` to its end."""

    def __call__(
        self, *arguments: str, env: Mapping[str, str], stdin: str = "", timeout: float = COMMAND_SECONDS
    ) -> Result: ...


@pytest.fixture
def run_command(programs: Programs, tmp_path: Path) -> RunCommand:
    def run(*arguments: str, env: Mapping[str, str], stdin: str = "", timeout: float = COMMAND_SECONDS) -> Result:
        done = Result(*programs.run(*arguments, env=env, folder=tmp_path, stdin=stdin, timeout=timeout))
        secret_canaries.require_harmless(arguments, done.stdout, done.stderr)
        return done

    return run


class StartCommand(Protocol):
    """Start `events`, `projector` or `backfill` and go on."""

    def __call__(self, *arguments: str, env: Mapping[str, str], as_installed: bool = False) -> Started: ...


@pytest.fixture
def start_command(programs: Programs, tmp_path: Path) -> Iterator[StartCommand]:
    started: list[Started] = []
    commands: list[tuple[str, ...]] = []

    def start(*arguments: str, env: Mapping[str, str], as_installed: bool = False) -> Started:
        stdout, stderr = (tmp_path / f"command-{len(started)}.{stream}" for stream in ("out", "err"))
        started.append(
            programs.start_in(tmp_path, *arguments, env=env, stdout=stdout, stderr=stderr, as_installed=as_installed)
        )
        commands.append(arguments)
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
    for command, each in zip(commands, started, strict=True):
        stdout, stderr = (file.read_text(errors="replace") for file in (each.stdout, each.stderr))
        print(f"--- {command}: exit code {each.process.returncode}\n{stderr[-TAIL:]}")  # noqa: T201 - where a test fails
        secret_canaries.require_harmless(command, stdout, stderr)


class WaitUntil(Protocol):
    """Wait for a condition, or fail saying which."""

    def __call__(self, condition: Callable[[], object], *, what: str, timeout: float = 120.0) -> None: ...


@pytest.fixture(scope="session")
def wait_until() -> WaitUntil:
    def wait(condition: Callable[[], object], *, what: str, timeout: float = 120.0) -> None:
        if not processes.wait_until(lambda: bool(condition()), seconds=timeout):
            pytest.fail(f"after {timeout:g} s still waiting for {what}")

    return wait


def _settings(database_url: str) -> Settings:
    own = uuid.uuid4().hex[:12]
    return Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        group_id=f"group-{own}",
        topic_prefix=f"test-{own}",
        topic_partitions=PARTITIONS,
    )


def _environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "PROJECTOR_KAFKA__SASL_PASSWORD": secret_canaries.secret(),
        "PROJECTOR_DATABASE_URL": settings.database_url.get_secret_value(),
        "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "PROJECTOR_GROUP_ID": settings.group_id,
        "PROJECTOR_TOPIC_PREFIX": settings.topic_prefix,
        "PROJECTOR_TOPIC_PARTITIONS": str(settings.topic_partitions),
    }


def _on(services: Services, database: str) -> str:
    return make_url(services.database_url).set(database=database).render_as_string(hide_password=False)
