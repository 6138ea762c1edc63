"""PgBouncer between a program and PostgreSQL: every connection works as without it, or is refused in one line."""

from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection
from pydantic import SecretStr

from events.runtime.errors import ServiceUnavailableError
from events.runtime.settings import Settings
from projector.database import connections
from projector.database.engines import make_engine, own_session
from projector.database.session_settings import PINNED, SEARCH_PATH
from tests.conftest import RunCommand
from tests.operations.pgbouncer import pgbouncer
from tests.support.services import Services

IGNORED: Final = "ignore_startup_parameters = options"
OPTIONS: Final = pytest.mark.parametrize("ignored", [(), (IGNORED,)], ids=["refuses options", "drops options"])


@OPTIONS
def test_a_session_is_as_it_would_be_without_it(settings: Settings, ignored: tuple[str, ...]) -> None:
    with pgbouncer(settings.database_url.get_secret_value(), "pool_mode = session", *ignored) as through:
        asked = SecretStr(f"{through}?options=-c%20work_mem%3D5MB")
        engine = make_engine(settings.model_copy(update={"database_url": asked}), program="tests")
        with own_session(engine) as connection:
            assert _shown(connection, "work_mem") == "5MB"
            assert _shown(connection, SEARCH_PATH) == f"{settings.schema_name}, pg_temp"
            assert _shown(connection, "DateStyle") == PINNED["DateStyle"].value
        engine.dispose()


@OPTIONS
@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("order", ["server_round_robin = 0", "server_round_robin = 1"])
def test_one_that_hands_connections_on_is_refused(
    settings: Settings, mode: str, order: str, ignored: tuple[str, ...]
) -> None:
    url = settings.database_url.get_secret_value()
    with (
        pgbouncer(url, f"pool_mode = {mode}", order, *ignored) as through,
        pytest.raises(ServiceUnavailableError, match="hands its connections on"),
    ):
        connections.connect(through, schema=settings.schema_name)


@pytest.fixture
def somebody_else(services: Services) -> Iterator[str]:
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE somebody_else LOGIN PASSWORD 'x'")
        yield "user=somebody_else password=x"
        connection.execute("DROP ROLE somebody_else")


def test_a_user_that_it_puts_in_our_place_is_refused(settings: Settings, somebody_else: str) -> None:
    url = settings.database_url.get_secret_value()
    with (
        pgbouncer(url, "pool_mode = session", IGNORED, database=somebody_else) as through,
        pytest.raises(ServiceUnavailableError, match="belongs to somebody_else and not to"),
    ):
        connections.connect(through, schema=settings.schema_name)


def test_a_program_says_in_one_line_what_to_set(environment: dict[str, str], run_command: RunCommand) -> None:
    with pgbouncer(environment["PROJECTOR_DATABASE_URL"], "pool_mode = transaction", IGNORED) as through:
        for words in (("projector", "run"), ("projector", "init"), ("backfill", "drift-check")):
            done = run_command(*words, env={**environment, "PROJECTOR_DATABASE_URL": through})
            assert (done.exit_code, done.stdout) == (2, "")
            assert "set pool_mode = session" in done.stderr
            assert done.stderr.count("\n") == 1


def _shown(connection: Connection[Any], name: str) -> str:
    (value,) = connection.execute("SELECT current_setting(%s)", (name,)).fetchone() or ("",)
    return str(value)
