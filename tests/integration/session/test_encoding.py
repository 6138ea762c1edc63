"""A database whose text is not UTF-8 is refused by every program in one line, before anything is made in it."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from events.runtime.errors import StateError
from events.runtime.settings import Settings
from projector.database import revision
from projector.database.engines import make_engine
from projector.database.failures import translate_database_errors
from projector.deployment import schema
from tests.conftest import RunCommand
from tests.support.services import Services


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def elsewhere(services: Services, settings: Settings, request: pytest.FixtureRequest) -> Iterator[Settings]:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        locale = "LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
        connection.execute(f"CREATE DATABASE {name} ENCODING '{request.param}' {locale}".encode())
        url = make_url(services.database_url).set(database=name).render_as_string(hide_password=False)
        yield settings.model_copy(update={"database_url": SecretStr(url)})
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_a_database_of_another_encoding_is_refused_before_anything_is_made(elsewhere: Settings) -> None:
    engine = make_engine(elsewhere, program="tests")
    with (
        translate_database_errors(elsewhere),
        pytest.raises(StateError, match=r"is encoded in .*, and has to be in UTF8") as raised,
    ):
        schema.upgrade(engine, elsewhere.schema_name)
    with translate_database_errors(elsewhere), pytest.raises(StateError, match="has to be in UTF8"):
        revision.require_current(engine, elsewhere.schema_name)
    engine.dispose()
    assert "\n" not in str(raised.value)
    with psycopg.connect(elsewhere.database_url.get_secret_value()) as connection:
        made = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'billing%'").fetchall()
    assert made == []


@pytest.mark.parametrize("command", ["projector init", "projector run", "backfill drift-check", "backfill runs"])
def test_programs_say_so_in_one_line(elsewhere: Settings, run_command: RunCommand, command: str) -> None:
    given = {
        "PROJECTOR_DATABASE_URL": elsewhere.database_url.get_secret_value(),
        "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    done = run_command(*command.split(), env=given)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done
    assert "ENCODING 'UTF8'" in done.stderr
