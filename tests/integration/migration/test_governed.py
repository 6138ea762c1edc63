"""The checks and recalculations inside `migrate` and `validate` give way to consumers as the same commands alone do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution import runner
from backfill.migration import migrate
from backfill.migration.connection import Database
from backfill.migration.migrate import Migration
from backfill.migration.step import Options
from backfill.migration.validate import choose, validate
from backfill.runs.phases import Command
from backfill.runs.store import Run
from backfill.runs.tally import Tally
from backfill.throttle.pace import Brake
from events.runtime.console import Format
from events.runtime.settings import Settings
from tests.support.examples import assigned, invoice
from tests.support.merge_harness import MergeHarness


@pytest.fixture
def database(harness: MergeHarness, settings: Settings, engine: Engine, auditor: Connection[Any]) -> Database:
    harness.apply([assigned(1, 1, 7), invoice(1, 1, "100.00")])
    return Database(settings, engine, auditor)


@pytest.fixture
def governed(monkeypatch: pytest.MonkeyPatch) -> set[Command]:
    """Collect the commands of the runs whose chunks a governor is asked about."""
    commands: set[Command] = set()

    class Asked:
        reason = "consumers"

        def __call__(self, run: Run, _delta: Tally, _took: float) -> float:
            commands.add(run.command)
            return 0.0

    @contextmanager
    def governing(_settings: Settings, _engine: Engine) -> Iterator[Brake]:
        yield Asked()

    monkeypatch.setattr(runner, "governing", governing)
    return commands


@pytest.mark.parametrize("name", ["meter-balances", "totals"])
def test_the_check_that_a_validation_rests_on_is_governed(
    database: Database, governed: set[Command], name: str
) -> None:
    assert validate(database, choose([name])).exit_code == 0
    assert governed == {"drift-check"}


def test_every_recalculation_and_check_of_a_migration_is_governed(
    database: Database, governed: set[Command], capsys: pytest.CaptureFixture[str]
) -> None:
    migration = Migration(database=database, options=Options(), skip_validation=False, form=Format.JSON)
    assert migrate.migrate(migration) == 0, capsys.readouterr().out
    assert governed == {"meter-balances", "customer-balances", "drift-check"}
