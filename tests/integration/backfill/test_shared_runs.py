"""Many workers share a run, on one machine or several, and any of them may be killed, stopped or cancelled."""

import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution.pool import run_pool
from backfill.execution.worker import CHUNK_ENDS, process_chunk
from backfill.runs import chunks, workers
from backfill.runs import store as runs
from backfill.runs.drift import findings
from backfill.runs.phases import Command, Phase
from backfill.runs.session import session
from backfill.runs.store import Run
from events.runtime.errors import StateError
from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.integration.backfill.history import UNDO

OPTIONS = {"dry_run": False, "chunk_size": 1}
KILLS = 20
REPAIRED = "SELECT FROM backfill_chunks WHERE phase = %s AND state = 'repaired'"


@pytest.fixture
def damaged(database: Connection[Any]) -> Connection[Any]:
    """Drift in every meter and every customer."""
    for table in ("meter_balances", "customer_balances"):
        database.execute(f"UPDATE {table} SET total_billed = total_billed + 1")
    database.execute("UPDATE invoices SET amount = amount + 3 WHERE invoice_id % 3 = 0")
    return database


@pytest.mark.parametrize("command", ["drift-check", "rebuild"])
def test_four_workers_report_what_one_does(damaged: Connection[Any], engine: Engine, command: Command) -> None:
    alone = _report(damaged, _carried_out(engine, "drift-check", workers=1))
    assert len(alone[0]) > 30
    together = _carried_out(engine, command, workers=4)
    assert (together.state, _report(damaged, together)) == ("finished", alone)
    if command == "rebuild":
        assert together.tally.repaired == together.tally.drifted
        assert not _carried_out(engine, "drift-check", workers=4).tally.drifted


def test_a_run_killed_at_random_ends_with_the_findings_of_an_undisturbed_one_each_repaired_once(
    damaged: Connection[Any], engine: Engine
) -> None:
    """Connections are lost at whatever they are at, among two workers; a trigger counts what is repaired."""
    undisturbed = _report(damaged, _carried_out(engine, "rebuild", workers=1, dry_run=True))
    _count_repairs(damaged)
    with session(engine) as connection:
        run = runs.begin(connection, "rebuild", OPTIONS)
    chance = random.Random(20)
    kills = 0
    while runs.find(damaged, str(run.run_id)).phase != "done":
        with ThreadPoolExecutor(2) as threads:
            workers = [threads.submit(_work_until_killed, engine, run, chance.randrange(40)) for _ in range(2)]
            kills += sum(worker.result() for worker in workers)
            assert kills < 50 * KILLS, "the run makes no headway"
    assert kills >= KILLS
    with session(engine) as connection:
        ended = run_pool(connection, runs.resume(connection, "rebuild", str(run.run_id), dry=False), stop=_never)
    assert (ended.state, _report(damaged, ended)) == ("finished", undisturbed)
    assert damaged.execute("SELECT entity, entity_id FROM repairs GROUP BY 1, 2 HAVING count(*) > 1").fetchall() == []
    left = "SELECT count(*) FROM drift WHERE repaired_at IS NULL AND run_id = %s"
    assert damaged.execute(left, [run.run_id]).fetchone() == (0,)
    assert damaged.execute("SELECT count(*) FROM backfill_chunks").fetchone() == (0,)


@pytest.mark.parametrize("phase", ["customers", "meters", "repair-meters", "repair-customers"])
def test_what_was_repaired_is_only_compared_by_whoever_comes_next(
    damaged: Connection[Any], engine: Engine, phase: Phase
) -> None:
    """A worker is lost between the repair and the comparison of a chunk. Customer 5 has had a meter of customer 2."""
    damaged.execute("UPDATE meter_balances SET customer_id = 5 WHERE meter_id = 3")
    _count_repairs(damaged)
    with session(engine) as connection:
        run = runs.begin(connection, "rebuild", OPTIONS)
        while not damaged.execute(REPAIRED, [phase]).fetchall():
            process_chunk(connection, run)
            run = chunks.ensure_chunk(connection, run, size=1, chunk_ends=CHUNK_ENDS)
            assert run.round == 1
    with session(engine) as connection:
        ended = run_pool(connection, runs.resume(connection, "rebuild", str(run.run_id), dry=False), stop=_never)
    assert ended.tally.repaired == ended.tally.drifted
    assert damaged.execute("SELECT entity, entity_id FROM repairs GROUP BY 1, 2 HAVING count(*) > 1").fetchall() == []


def test_processes_share_a_run_by_resume_and_one_that_is_stopped_leaves_it_to_the_others(
    damaged: Connection[Any],
    environment: dict[str, str],
    start_command: StartCommand,
    wait_until: WaitUntil,
) -> None:
    with psycopg.connect(environment["PROJECTOR_DATABASE_URL"]) as holder:
        holder.execute("LOCK TABLE billing.customer_balances IN ACCESS EXCLUSIVE MODE")
        first = start_command("backfill", "drift-check", "--chunk-size", "1", env=environment)
        wait_until(lambda: _run_of(damaged), what="the run")
        run_id = _run_of(damaged)
        other = start_command("backfill", "drift-check", "--resume", run_id, env=environment)
        wait_until(lambda: _workers(damaged, run_id) == 2, what="two processes at one run")
        first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(120) == 3, first.stderr.read_text()
    assert f"Not finished; `backfill drift-check --resume {run_id}` joins the run." in first.stdout.read_text()
    assert other.process.wait(120) == 1, other.stderr.read_text()
    assert "6 customers and 11 meters compared" in other.stdout.read_text()
    assert damaged.execute("SELECT state FROM backfill_runs").fetchall() == [("finished",)]


def test_the_last_to_leave_pauses_the_run(database: Connection[Any], engine: Engine) -> None:
    with session(engine) as first, session(engine) as second:
        run = runs.begin(first, "rebuild", OPTIONS)
        assert runs.resume(second, "rebuild", str(run.run_id), dry=False).state == "running"
        assert workers.count(database, run.run_id) == 2
        assert run_pool(first, run, stop=lambda: True).state == "running"
        assert run_pool(second, run, stop=lambda: True).state == "paused"
    assert runs.find(database, str(run.run_id)).state == "paused"


def test_a_worker_that_fails_stops_the_others_of_its_process(damaged: Connection[Any], engine: Engine) -> None:
    @contextmanager
    def broken() -> Iterator[Connection[Any]]:
        raise StateError("no connection is left")
        yield

    with session(engine) as connection:
        run = runs.begin(connection, "drift-check", OPTIONS)
        with pytest.raises(StateError, match="no connection is left"):
            run_pool(connection, run, stop=_never, others=[broken])
    assert runs.find(damaged, str(run.run_id)).state == "running"


def test_a_repair_that_does_not_hold_stops_the_run_and_says_so(
    damaged: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    damaged.execute(UNDO)
    stopped = run_command("backfill", "rebuild", env=environment)
    assert (stopped.exit_code, stopped.stdout) == (1, "")
    [(run_id, state, error)] = damaged.execute("SELECT run_id, state, error FROM backfill_runs")
    assert stopped.stderr.splitlines()[-1] == (
        f"backfill: run {run_id} stopped: the repair does not hold: all 11 of a chunk still differ; something undoes "
        f"it; `backfill runs show {run_id}` lists them"
    )
    assert (state, "does not hold" in error) == ("failed", True)
    shown = run_command("backfill", "runs", "show", str(run_id), env=environment)
    assert f"Once the cause is removed, resume with `backfill rebuild --resume {run_id}`" in shown.stdout


def test_a_chunk_that_holds_a_value_at_fault_is_halved_until_it_stands_alone(
    database: Connection[Any], engine: Engine
) -> None:
    """One customer of six cannot be compared: its findings are refused by a rule of the table."""
    database.execute("UPDATE customer_balances SET balance = balance + 1")
    database.execute("ALTER TABLE drift ADD CONSTRAINT not_four CHECK (entity_id <> 4)")
    run = _carried_out(engine, "drift-check", workers=1, chunk_size=100)
    assert (run.tally.customers, run.tally.failed) == (5, 1)
    (failure,) = run.tally.failures
    assert (failure.first, failure.last) == (4, 4)
    found = database.execute("SELECT array_agg(DISTINCT entity_id ORDER BY entity_id) FROM drift").fetchone()
    assert found == ([1, 2, 3, 5],), "customer 6 has no balance"


def test_a_finding_tells_the_positions_at_which_it_holds(damaged: Connection[Any], engine: Engine) -> None:
    columns = "positions (group_id, topic, partition, next_offset)"
    damaged.execute(f"INSERT INTO {columns} VALUES ('g', 't', 0, 7), ('g', 't', 1, 9)")
    run = _carried_out(engine, "drift-check", workers=1)
    found = damaged.execute("SELECT DISTINCT positions FROM drift WHERE run_id = %s", [run.run_id]).fetchall()
    assert found == [({"g": {"t": {"0": 7, "1": 9}}},)]


def _never() -> bool:
    return False


def _carried_out(engine: Engine, command: Command, *, workers: int, dry_run: bool = False, chunk_size: int = 1) -> Run:
    with session(engine) as connection:
        run = runs.begin(connection, command, {"dry_run": dry_run, "chunk_size": chunk_size})
        return run_pool(connection, run, stop=_never, others=[lambda: session(engine)] * (workers - 1))


def _report(database: Connection[Any], run: Run) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """Read what a run found, and its tally, but for what a repair adds and how long it took."""
    rows = findings(database, run, None)
    left_out = {"seconds", "repaired", "unrepaired", "compared_again"}
    return [row[:8] for row in rows], {k: v for k, v in vars(run.tally).items() if k not in left_out}


def _work_until_killed(engine: Engine, run: Run, statements: int) -> bool:
    """Work at a run until so many statements were sent, then lose the connection; return whether it was lost."""
    with session(engine) as connection:
        ran = 0

        class Doomed(psycopg.Cursor[Any]):
            def execute(self, *arguments: Any, **named: Any) -> "Doomed":  # noqa: ANN401 - handed on as they are
                nonlocal ran
                ran += 1
                if ran > statements:
                    connection.close()
                return super().execute(*arguments, **named)

        connection.cursor_factory = Doomed
        try:
            while True:
                run = chunks.ensure_chunk(connection, run, size=1, chunk_ends=CHUNK_ENDS)
                if run.phase == "done":
                    return False
                if process_chunk(connection, run) is None:
                    chunks.wait(connection, run)
        except psycopg.OperationalError:
            return True


def _count_repairs(database: Connection[Any]) -> None:
    database.execute(
        "CREATE TABLE repairs (entity text, entity_id bigint);"
        " CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO billing.repairs VALUES (new.entity, new.entity_id); RETURN new; END $$;"
        " CREATE TRIGGER note AFTER UPDATE ON drift FOR EACH ROW"
        " WHEN (old.repaired_at IS NULL AND new.repaired_at IS NOT NULL AND new.column_name = 'total_billed')"
        " EXECUTE FUNCTION note()"
    )


def _run_of(database: Connection[Any]) -> str:
    row = database.execute("SELECT run_id FROM backfill_runs").fetchone()
    return str(row[0]) if row else ""


def _workers(database: Connection[Any], run_id: str) -> int:
    return workers.count(database, UUID(run_id))
