"""A server that answers and refuses is one line, and never the exit code that says drift."""

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, make_url, text

from events.runtime.settings import Settings
from tests.conftest import RunCommand
from tests.support.written_down import write_down


@pytest.fixture
def reader(engine: Engine, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Give the environment of a role that may read every table and change none."""
    role = f"reader_{uuid.uuid4().hex[:12]}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'geheim'"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA billing TO {role}"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA billing TO {role}"))
    url = make_url(environment["PROJECTOR_DATABASE_URL"]).set(username=role, password="geheim")  # noqa: S106 - made here
    yield environment | {"PROJECTOR_DATABASE_URL": url.render_as_string(hide_password=False)}
    with engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))


@pytest.mark.parametrize("command", ["projector init", "backfill drift-check", "backfill rebuild"])
def test_a_role_that_may_only_read(run_command: RunCommand, reader: dict[str, str], command: str) -> None:
    done = run_command(*command.split(), env=reader)
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    assert "permission denied" in line
    assert "geheim" not in line


def test_more_replicas_than_brokers(
    run_command: RunCommand, kafka_settings: Settings, kafka_environment: dict[str, str]
) -> None:
    prefix = f"{kafka_environment['PROJECTOR_TOPIC_PREFIX']}-other"
    wrong = {"PROJECTOR_TOPIC_REPLICATION": "3", "PROJECTOR_TOPIC_PREFIX": prefix}
    write_down(kafka_settings.model_copy(update={"topic_prefix": prefix}))
    done = run_command("projector", "init", env=kafka_environment | wrong)
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("projector: Kafka at ")
    assert " refuses: " in line
