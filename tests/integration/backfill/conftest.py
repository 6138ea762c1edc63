"""A database with history, and the auditor run on it in this process."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, cast

import psycopg
import pytest
from psycopg import Connection
from sqlalchemy import Engine, make_url

from backfill.execution.pool import run_pool
from backfill.execution.worker import STAGES, ChunkStage
from backfill.runs import chunks
from backfill.runs import store as runs
from backfill.runs.drift import findings
from backfill.runs.phases import Command
from backfill.runs.session import session
from backfill.runs.store import Run
from events.runtime.settings import Settings
from tests.integration.backfill import history


class Found(NamedTuple):
    """One finding as it is stored."""

    entity: str
    entity_id: int
    column: str
    recorded: str | None
    expected: str | None
    difference: str | None
    cause: str
    evidence: dict[str, Any]
    repaired: bool


class Doing(Protocol):
    """Let these passes be what is done with chunks of customers."""

    def __call__(self, *passes: ChunkStage) -> None: ...


class Audit(Protocol):
    """Run a command with small chunks, and return it with what it found."""

    def __call__(self, command: Command = "drift-check", *, dry_run: bool = False) -> tuple[Run, list[Found]]: ...


@pytest.fixture
def connect(settings: Settings) -> Iterator[Callable[[], Connection[Any]]]:
    """Open further connections, each in autocommit, inside the schema."""
    opened: list[Connection[Any]] = []
    url = make_url(settings.database_url.get_secret_value()).set(drivername="postgresql")

    def make() -> Connection[Any]:
        opened.append(
            psycopg.connect(
                url.render_as_string(hide_password=False),
                autocommit=True,
                options=f"-c search_path={settings.schema_name} -c lock_timeout=30000 -c timezone=UTC",
            )
        )
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()


@pytest.fixture
def database(connect: Callable[[], Connection[Any]]) -> Connection[Any]:
    """Fill the database with a history and its projection."""
    connection = connect()
    history.write(connection)
    return connection


@pytest.fixture
def audit(engine: Engine) -> Audit:
    def run(command: Command = "drift-check", *, dry_run: bool = False) -> tuple[Run, list[Found]]:
        with session(engine) as connection:
            begun = runs.begin(connection, command, {"dry_run": dry_run, "chunk_size": 2})
            ended = run_pool(connection, begun, stop=lambda: False, watch=lambda _: None)
            rows = findings(connection, ended, None)
            return ended, [_found(row) for row in rows]

    return run


@pytest.fixture
def worker(engine: Engine) -> Iterator[Connection[Any]]:
    """One of the auditor's connections."""
    with session(engine) as connection:
        yield connection


@pytest.fixture
def run(worker: Connection[Any]) -> Run:
    """Have one open chunk, of the keys 1 to 8."""
    begun = runs.begin(worker, "rebuild", {"dry_run": True})
    return chunks.ensure_chunk(worker, begun, 8, {"customers": lambda *_: 8})


@pytest.fixture
def doing(monkeypatch: pytest.MonkeyPatch) -> Doing:
    """Do something else with chunks of customers."""
    return lambda *passes: monkeypatch.setitem(cast("dict[str, Sequence[ChunkStage]]", STAGES), "customers", passes)


def _found(row: tuple[Any, ...]) -> Found:
    entity, entity_id, column, recorded, expected, difference, cause, evidence, _, repaired_at, *_ = row
    return Found(
        entity=entity,
        entity_id=entity_id,
        column=column,
        recorded=recorded,
        expected=expected,
        difference=None if difference is None else str(difference),
        cause=cause,
        evidence=evidence,
        repaired=repaired_at is not None,
    )
