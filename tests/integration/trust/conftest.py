"""A database with history, checks of it in this process, and what the functions say of a meter or customer."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import pytest
from psycopg import Connection
from psycopg.rows import class_row
from sqlalchemy import Engine

from backfill.execution.pool import run_pool
from backfill.runs import store as runs
from backfill.runs.phases import Command
from backfill.runs.selection import Selection
from backfill.runs.session import session
from backfill.runs.store import Run
from tests.integration.backfill.conftest import connect, database

__all__ = ["connect", "database"]


class Trust(NamedTuple):
    """What a function says of one meter or customer, without its id."""

    applied_at: datetime
    verified_at: datetime | None
    verified_by: UUID | None
    changed_since: bool
    finding_cause: str | None
    finding_amount: Decimal | None
    finding_run_id: UUID | None


class Compare(Protocol):
    """Run a command to its end; stopped after so many chunks, it is paused."""

    def __call__(
        self, command: Command = "drift-check", selection: Selection | None = None, *, chunks: int | None = None
    ) -> Run: ...


@pytest.fixture
def compare(engine: Engine) -> Compare:
    def run(command: Command = "drift-check", selection: Selection | None = None, *, chunks: int | None = None) -> Run:
        done = 0

        def count(_: Run) -> None:
            nonlocal done
            done += 1

        with session(engine) as connection:
            options = {"dry_run": False, "chunk_size": 2, **(selection.options if selection else {})}
            begun = runs.begin(connection, command, options)
            return run_pool(connection, begun, stop=lambda: chunks is not None and done >= chunks, watch=count)

    return run


@pytest.fixture
def trust(database: Connection[Any]) -> Callable[[str, int], Trust]:
    def read(entity: str, entity_id: int) -> Trust:
        columns = ", ".join(Trust._fields)
        statement = f"SELECT {columns} FROM {entity}_trust() WHERE {entity}_id = %s"
        with database.cursor(row_factory=class_row(Trust)) as cursor:
            found = cursor.execute(statement.encode(), (entity_id,)).fetchone()
        assert found is not None
        return found

    return read
