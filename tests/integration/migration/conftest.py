"""A database filled by the projector's own merge, and the migration steps run on it in this process."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

import pytest
from psycopg import Connection
from sqlalchemy import Engine, text

from backfill.execution.pool import run_pool
from backfill.migration.run_step import Performed, perform
from backfill.migration.step import Options, Row, Step
from backfill.runs import store as runs
from backfill.runs.drift import findings
from backfill.runs.session import session
from events.runtime.settings import Settings

DATA: Final = ("invoices", "payments", "meter_assignments", "customers", "meter_balances", "customer_balances")


class Did(NamedTuple):
    """What a step did, and the rows it told."""

    performed: Performed
    listed: list[Row]

    @property
    def counts(self) -> Counter[str]:
        return self.performed.counts


class Do(Protocol):
    """Do a step with small chunks."""

    def __call__(self, step: Step, *, dry: bool = False) -> Did: ...


class Contents(Protocol):
    """Read every row of history and projection, but for when it was written."""

    def __call__(self) -> dict[str, list[Any]]: ...


class Drift(Protocol):
    """Check for drift; return what was found."""

    def __call__(self) -> list[Any]: ...


@pytest.fixture
def auditor(engine: Engine) -> Iterator[Connection[Any]]:
    with session(engine) as connection:
        yield connection


@pytest.fixture
def do(settings: Settings, auditor: Connection[Any]) -> Do:
    def run(step: Step, *, dry: bool = False) -> Did:
        listed: list[Row] = []
        return Did(perform(settings, auditor, step, Options(dry, chunk_size=2), listed.extend), listed)

    return run


@pytest.fixture
def contents(engine: Engine) -> Contents:
    def read() -> dict[str, list[Any]]:
        with engine.connect() as connection:
            rows = "SELECT to_jsonb(t) - 'updated_at' FROM {} t ORDER BY 1"
            return {table: list(connection.execute(text(rows.format(table))).scalars()) for table in DATA}

    return read


@pytest.fixture
def drift(engine: Engine) -> Iterator[Drift]:
    with session(engine) as connection:

        def check() -> list[Any]:
            run = runs.begin(connection, "drift-check", {"chunk_size": 3})
            run = run_pool(connection, run, stop=lambda: False, watch=lambda _: None)
            assert run.tally.failed == 0, run.tally.failures
            return findings(connection, run, None)

        yield check
