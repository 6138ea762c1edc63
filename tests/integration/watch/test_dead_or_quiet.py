"""`projector status` tells a checker that is dead from one that is quiet because all is well."""

import json
import signal
from typing import Any, Final, NamedTuple

import pytest
from psycopg import Connection

from backfill.runs import store as runs
from projector.status import checker
from tests.conftest import RunCommand, StartCommand, WaitUntil

FINISHED: Final = "SELECT count(*) FROM backfill_runs WHERE state = 'finished'"
COMPARED: Final = "SELECT count(*) FROM backfill_chunks WHERE state = 'done'"
HOUR_AGO: Final = "UPDATE backfill_runs SET {0} = {0} - interval '1 hour'"


class Status(NamedTuple):
    """What `projector status` says; Kafka is not there to be asked."""

    run_command: RunCommand
    environment: dict[str, str]
    database: Connection[Any]

    @property
    def checker(self) -> dict[str, Any]:
        """Read what it would say of the checker, without waiting for Kafka."""
        found = checker.read(self.database).checker
        assert found is not None
        return found

    @property
    def abandoned(self) -> list[dict[str, Any]]:
        """Read the same of runs that nobody carries out."""
        return checker.read(self.database).abandoned

    def shown(self) -> str:
        """Return it for people."""
        return self._asked("table")

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        document = json.loads(self._asked("json"))
        assert isinstance(document, dict)
        return document

    def _asked(self, form: str) -> str:
        done = self.run_command("projector", "status", "--format", form, env=self.environment)
        assert done.exit_code == 2, done
        return done.stdout


@pytest.fixture
def status(environment: dict[str, str], run_command: RunCommand, database: Connection[Any]) -> Status:
    return Status(run_command, environment | {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, database)


def test_without_a_schedule_there_is_no_checker(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand, status: Status
) -> None:
    assert database
    assert run_command("backfill", "drift-check", env=environment).exit_code == 0
    found = status.document()
    assert (found["checker"], found["abandoned"]) == (None, [])
    assert "Checker: " not in status.shown()


def test_one_that_waits_for_its_next_round_is_quiet_until_its_promise_is_broken(
    database: Connection[Any],
    environment: dict[str, str],
    start_command: StartCommand,
    wait_until: WaitUntil,
    status: Status,
) -> None:
    service = start_command("backfill", "drift-check", "--every", "10m", env=environment)
    wait_until(lambda: _count(database, FINISHED) == 1, what="the first round")
    found = status.document()
    assert (found["checker"]["state"], found["checker"]["promised_seconds"]) == ("finished", 1200.0)
    assert (found["checker"]["overdue"], found["abandoned"]) == (False, [])
    service.process.kill()
    service.process.wait()
    shown = status.shown()
    assert "Checker: quiet; its last run " in shown, "nothing is missing yet"
    assert "overdue" not in shown

    database.execute(HOUR_AGO.format("finished_at").encode())
    shown = status.shown()
    assert "a check of every balance is overdue, and no checker is at work" in shown
    assert "Checker: gone, or each round fails; its last run " in shown
    assert status.checker["overdue"] is True


def test_one_that_was_killed_at_work_is_dead_and_the_next_one_is_not(  # noqa: PLR0913, PLR0917 - fixtures
    database: Connection[Any],
    environment: dict[str, str],
    start_command: StartCommand,
    run_command: RunCommand,
    wait_until: WaitUntil,
    status: Status,
) -> None:
    """Six customers in an hour: each chunk is followed by minutes of rest, and no round is ever over."""
    arguments = ("backfill", "drift-check", "--cover-within", "1h")
    service = start_command(*arguments, env=environment)
    wait_until(lambda: _count(database, COMPARED) == 1, what="a chunk to be compared")
    database.execute(HOUR_AGO.format("updated_at").encode())
    assert (status.checker["processes"], status.abandoned) == (1, []), "it rests, however long ago it moved"
    assert "Checker: at work on run " in status.shown()

    service.process.kill()
    service.process.wait()
    wait_until(lambda: status.abandoned, what="its session to be gone")
    [run] = status.document()["abandoned"]
    assert (run["run_id"], run["command"]) == (str(status.checker["run_id"]), "drift-check")
    assert status.checker["processes"] == 0
    shown = status.shown()
    assert f"drift-check {run['run_id']} says that it runs, and no process carries it out: `backfill runs`" in shown
    assert f"Checker: dead; no process carries out its run {run['run_id']}, which last moved 1 h ago\n" in shown
    assert f"--resume {run['run_id']}" in run_command("backfill", "runs", env=environment).stdout

    again = start_command(*arguments, env=environment)
    wait_until(lambda: status.checker["processes"] == 1, what="another one to go on with it")
    assert status.abandoned == []
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(120) == 0, again.stderr.read_text()
    assert "Checker: quiet; its last run " in status.shown(), "somebody stopped it"


def test_a_promise_that_was_never_kept_counts_from_the_first_try(
    database: Connection[Any], worker: Connection[Any], status: Status
) -> None:
    for _ in range(2):
        run = runs.begin(worker, "drift-check", {"dry_run": False, "every": 60, "promised_seconds": 120})
        runs.change_state(worker, run, "failed", "x")
    assert status.checker["overdue"] is False
    database.execute(
        b"UPDATE backfill_runs SET started_at = started_at - interval '1 hour' "
        b"WHERE started_at = (SELECT min(started_at) FROM backfill_runs)"
    )
    assert status.checker["overdue"] is True


def test_a_run_that_a_newer_one_follows_is_history(
    database: Connection[Any],
    environment: dict[str, str],
    run_command: RunCommand,
    worker: Connection[Any],
    status: Status,
) -> None:
    run = runs.begin(worker, "rebuild", {"dry_run": False})
    worker.execute("SELECT pg_advisory_unlock_all()")
    assert status.abandoned == [], "it has only just begun"
    database.execute(HOUR_AGO.format("updated_at").encode())
    assert [each["run_id"] for each in status.abandoned] == [run.run_id]
    assert run_command("backfill", "rebuild", env=environment).exit_code == 0
    assert status.abandoned == []


def _count(database: Connection[Any], statement: str) -> int:
    [(count,)] = database.execute(statement.encode()).fetchall()
    return int(count)
