"""A signal in the middle of a statement: its budget is kept, the chunk stays open, and the run goes on where it was."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from psycopg import Connection
from pydantic import SecretStr
from sqlalchemy import Engine, make_url

from backfill.execution.runner import run_to_completion
from backfill.execution.worker import RunTuning
from backfill.exit_codes import EXIT_PAUSED, exit_code
from backfill.migration import migrate, payment_meter_ids
from backfill.migration.connection import Database
from backfill.migration.migrate import Migration
from backfill.migration.run_step import perform
from backfill.migration.step import Options
from backfill.migration.validate import choose, validate
from backfill.runs import store as runs
from backfill.runs.drift import findings
from backfill.runs.phases import Command
from backfill.runs.session import session
from backfill.runs.stopping import GivenUpError
from backfill.runs.store import Run
from events.runtime.console import Format
from events.runtime.settings import Settings
from projector.database.engines import make_engine
from projector.sandbox.ports import HOST
from tests.conftest import StartCommand, WaitUntil
from tests.faults.proxy import Proxy

ALONE: Final = RunTuning(governed=False)
WAITING: Final = "SELECT count(DISTINCT pid) > 0 FROM pg_locks WHERE NOT granted"
METERS: Final = "SELECT FROM billing.meter_balances ORDER BY meter_id FOR UPDATE"
PAYMENTS: Final = "SELECT FROM billing.payments ORDER BY payment_id FOR UPDATE"


@pytest.fixture
def hasty(settings: Settings) -> Settings:
    """Leave a chunk next to no time once a signal came."""
    return settings.model_copy(update={"shutdown_seconds": 0.1})


@pytest.fixture
def damaged(database: Connection[Any]) -> Connection[Any]:
    database.execute("UPDATE meter_balances SET total_billed = total_billed + 1 WHERE meter_id IN (1, 5, 11)")
    return database


@contextmanager
def signalled(holder: Connection[Any], hold: str, *, then: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock; send ourselves SIGTERM as soon as somebody waits for it."""

    def watch() -> None:
        while holder.execute(WAITING.encode()).fetchone() != (True,):
            if ended.wait(0.01):
                return
        then()
        os.kill(os.getpid(), signal.SIGTERM)

    ended, watcher = threading.Event(), threading.Thread(target=watch)
    with holder.transaction():
        holder.execute(hold.encode())
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("command", "hold"),
    [
        ("drift-check", "LOCK TABLE billing.customer_balances"),  # where the next chunk is cut
        ("drift-check", "LOCK TABLE billing.invoices"),  # in a chunk
        ("rebuild", METERS),  # in a repair
    ],
)
def test_a_statement_that_waits_is_given_up_and_the_run_goes_on_to_the_same_report(  # noqa: PLR0913, PLR0917
    damaged: Connection[Any],
    connect: Callable[[], Connection[Any]],
    engine: Engine,
    hasty: Settings,
    command: Command,
    hold: str,
    workers: int,
) -> None:
    with session(engine) as connection:
        begun = runs.begin(connection, "drift-check", {"dry_run": False})
        undisturbed = _findings(damaged, run_to_completion(hasty, connection, begun, engine=engine, tuning=ALONE))
    assert undisturbed
    with session(engine) as connection, signalled(connect(), hold):
        run = runs.begin(connection, command, {"dry_run": False, "chunk_size": 1})
        run = run_to_completion(
            hasty, connection, run, engine=engine, tuning=RunTuning(workers=workers, governed=False)
        )
    assert (run.state, run.tally.failed, run.tally.repaired, exit_code(run)) == ("paused", 0, 0, EXIT_PAUSED)
    left = {state for (state,) in damaged.execute("SELECT state FROM backfill_chunks WHERE state <> 'done'")}
    compared_by_the_other = {"open"} if workers > 1 else set()  # a comparison may outlast 0.1 s as well
    assert left <= ({"compared"} | compared_by_the_other if command == "rebuild" else {"open"})

    with session(engine) as connection:
        run = runs.resume(connection, command, str(run.run_id), dry=False)
        run = run_to_completion(hasty, connection, run, engine=engine, tuning=ALONE)
    assert (run.state, run.tally.failed, run.tally.customers, run.tally.meters) == ("finished", 0, 6, 11)
    assert _findings(damaged, run) == undisturbed
    assert bool(run.tally.repaired) == (command == "rebuild")


def test_a_server_that_does_not_answer_is_left_and_the_run_goes_on_later(
    damaged: Connection[Any], connect: Callable[[], Connection[Any]], hasty: Settings, engine: Engine
) -> None:
    url = make_url(hasty.database_url.get_secret_value())
    proxy = Proxy(url.port or 5432)
    through = url.set(host=HOST, port=proxy.port).render_as_string(hide_password=False)
    behind = hasty.model_copy(update={"database_url": SecretStr(through)})
    unsure = make_engine(behind, program="backfill")
    try:
        with signalled(connect(), "LOCK TABLE billing.invoices", then=proxy.hang), session(unsure) as connection:
            run = runs.begin(connection, "drift-check", {"dry_run": False})
            with pytest.raises(GivenUpError, match=r"did not answer; resume with `backfill drift-check --resume \S+`$"):
                run_to_completion(behind, connection, run, engine=unsure, tuning=RunTuning(workers=2, governed=False))
    finally:
        unsure.dispose()
        proxy.close()
    with session(engine) as connection:
        run = runs.resume(connection, "drift-check", str(run.run_id), dry=False)
        run = run_to_completion(hasty, connection, run, engine=engine, tuning=ALONE)
    assert (run.state, run.tally.failed, run.tally.customers, run.tally.drifted_meters) == ("finished", 0, 6, 3)
    assert damaged.execute("SELECT count(*) FROM backfill_chunks").fetchone() == (0,)


def test_a_step_is_paused(
    database: Connection[Any], connect: Callable[[], Connection[Any]], engine: Engine, hasty: Settings
) -> None:
    database.execute("UPDATE payments SET customer_id = 1 WHERE payment_id = 91")
    with session(engine) as connection, signalled(connect(), PAYMENTS):
        paused = perform(hasty, connection, payment_meter_ids.STEP, Options(), lambda _: None)
    assert (paused.run.state, paused.changed, exit_code(paused.run)) == ("paused", 0, EXIT_PAUSED)
    with session(engine) as connection:
        again = perform(hasty, connection, payment_meter_ids.STEP, Options(), lambda _: None)
    assert (again.run.state, again.changed) == ("finished", 1)


@pytest.mark.parametrize("name", ["payments", "meter-balances"])
def test_a_validation_is_paused(
    damaged: Connection[Any], connect: Callable[[], Connection[Any]], engine: Engine, hasty: Settings, name: str
) -> None:
    with session(engine) as connection, signalled(connect(), "LOCK TABLE billing.payments"):
        validation = validate(Database(hasty, engine, connection), choose([name]))
    assert (validation.paused, validation.exit_code) == (True, EXIT_PAUSED)
    assert damaged.execute("SELECT DISTINCT state FROM backfill_runs").fetchall() in ([], [("paused",)])


def test_a_migration_is_paused_in_its_backup(
    database: Connection[Any],
    connect: Callable[[], Connection[Any]],
    engine: Engine,
    hasty: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The backup reads the balances as the first step to do so."""
    with session(engine) as connection, signalled(connect(), "LOCK TABLE billing.meter_balances"):
        migration = Migration(
            database=Database(hasty, engine, connection), options=Options(), skip_validation=True, form=Format.JSON
        )
        assert migrate.migrate(migration) == EXIT_PAUSED
    assert '"state": "paused", "stopped_after": "validate --check payments"' in capsys.readouterr().out
    states = database.execute("SELECT state FROM backfill_runs WHERE command = 'migrate'").fetchall()
    assert states == [("paused",)]


@pytest.mark.parametrize(("options", "code"), [((), 3), (("--every", "1h"), 0)])
def test_a_program_ends_with_its_code(  # noqa: PLR0913, PLR0917
    damaged: Connection[Any],
    connect: Callable[[], Connection[Any]],
    environment: dict[str, str],
    start_command: StartCommand,
    wait_until: WaitUntil,
    options: tuple[str, ...],
    code: int,
) -> None:
    holder = connect()
    with holder.transaction():
        holder.execute("LOCK TABLE invoices")
        env = environment | {"PROJECTOR_SHUTDOWN_SECONDS": "0.5"}
        started = start_command("backfill", "drift-check", *options, env=env)
        wait_until(lambda: damaged.execute(WAITING.encode()).fetchone() == (True,), what="a statement that waits")
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(120) == code, started.stderr.read_text()
    assert damaged.execute("SELECT state FROM backfill_runs").fetchall() == [("paused",)]


def _findings(connection: Connection[Any], run: Run) -> list[tuple[Any, ...]]:
    rows = findings(connection, run, None)
    return [row[:8] for row in rows]
