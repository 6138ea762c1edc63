"""A repair that is stopped, cancelled or killed is not done, and --resume does all of it."""

import os
import signal
from collections.abc import Callable
from threading import Thread
from typing import Any, Final

import pytest
from psycopg import Connection

from backfill.execution import runner
from backfill.execution.worker import RunTuning
from backfill.runs.store import Run
from backfill.verify_log import repair
from events.runtime.errors import WorkFailedError
from tests.conftest import StartCommand, WaitUntil
from tests.integration.verify_log.conftest import Logged
from tests.support.examples import assigned, customer, invoice

pytestmark = pytest.mark.usefixtures("environment")

EVENTS: Final = [
    customer(7, "Achieng"),
    customer(8, "Baraka"),
    assigned(1, 42, 7),
    assigned(2, 47, 8),  # of another customer: a rebuild of meter 42 does not come to it
    *(invoice(key, 42, f"{key}00.00") for key in range(1, 4)),
    invoice(4, 47, "50.00"),
]
WAITING: Final = "SELECT FROM pg_stat_activity WHERE application_name = :name AND wait_event_type = 'Lock'"


class Killed(BaseException):
    """What stands for the end of the process."""


@pytest.fixture
def damaged(logged: Logged) -> Logged:
    """Have an invoice counted at another meter, of which its row and its marks say that they are right."""
    logged.apply(*EVENTS)
    logged.sql("UPDATE invoices SET meter_id = 47, projected_meter_id = 47 WHERE invoice_id = 3")
    return logged


def test_a_signal_after_the_last_page_was_replayed_pauses_it(damaged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    _once_after(monkeypatch, repair, "replay", lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert damaged.verify(repair=True).exit_code == 3
    _require_mended_by_resuming(damaged)


def test_a_rebuild_that_is_cancelled_is_no_repair(damaged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    run_to_completion = runner.run_to_completion

    def cancelled(settings: Any, connection: Connection[Any], run: Run, **named: Any) -> Run:  # noqa: ANN401 - handed on
        damaged.sql("UPDATE backfill_runs SET state = 'cancelled' WHERE run_id = :run_id", run_id=run.run_id)
        return run_to_completion(settings, connection, run, **named)

    with monkeypatch.context() as patched:
        patched.setattr(runner, "run_to_completion", cancelled)
        with pytest.raises(WorkFailedError, match="was stopped"):
            damaged.verify(repair=True)
    _require_mended_by_resuming(damaged)


def test_the_rebuild_of_a_repair_goes_as_fast_as_the_repair_was_asked_to(
    damaged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_to_completion = runner.run_to_completion
    asked, tunings = RunTuning(governed=False, rows_per_second_max=1e6), list[RunTuning]()

    def recorded(*given: Any, **named: Any) -> Run:  # noqa: ANN401 - handed on
        tunings.append(named["tuning"])
        return run_to_completion(*given, **named)

    monkeypatch.setattr(runner, "run_to_completion", recorded)
    assert damaged.verify(repair=True, tuning=asked).exit_code == 0
    assert set(tunings) == {asked}


def test_killed_before_the_rebuild_the_meter_that_a_row_named_is_still_repaired(
    damaged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill() -> None:
        raise Killed

    _once_after(monkeypatch, repair, "replay", kill)
    with pytest.raises(Killed):
        damaged.verify(repair=True)
    assert damaged.sql("SELECT meter_id FROM invoices WHERE invoice_id = 3") == [(42,)]
    assert damaged.disagreement()
    _require_mended_by_resuming(damaged)


def test_a_signal_ends_a_replay_that_waits(damaged: Logged, wait_until: WaitUntil) -> None:
    """Its transaction is as if it had not begun, though the lock that it waits for is not let go."""

    def stop_when_it_waits() -> None:
        wait_until(lambda: damaged.sql(WAITING, name="projector replay"), what="the replay to wait")
        os.kill(os.getpid(), signal.SIGTERM)

    with damaged.engine.begin() as held:
        held.exec_driver_sql("SELECT FROM meter_balances FOR UPDATE")
        waiter = Thread(target=stop_when_it_waits)
        waiter.start()
        assert damaged.verify(repair=True).exit_code == 3
        waiter.join()
    assert damaged.sql("SELECT meter_id FROM invoices WHERE invoice_id = 3") == [(47,)]
    _require_mended_by_resuming(damaged)


def test_of_two_that_share_it_one_repairs(
    damaged: Logged,
    monkeypatch: pytest.MonkeyPatch,
    start_command: StartCommand,
    kafka_environment: dict[str, str],
    wait_until: WaitUntil,
) -> None:
    second = []

    def join() -> None:
        run_id = _run_id(damaged)
        second.append(start_command("backfill", "verify-log", "--resume", run_id, env=kafka_environment))
        wait_until(lambda: damaged.sql(WAITING, name="backfill"), what="the other to wait")

    _once_after(monkeypatch, repair, "replay", join)
    assert damaged.verify(repair=True).exit_code == 0
    assert second[0].process.wait(120) == 0, second[0].stderr.read_text()
    assert not damaged.disagreement()
    assert damaged.sql("SELECT command, state FROM backfill_runs ORDER BY command") == [
        ("rebuild", "finished"), ("verify-log", "finished"),
    ]  # fmt: skip


def _run_id(damaged: Logged) -> str:
    [(run_id,)] = damaged.sql("SELECT run_id::text FROM backfill_runs WHERE command = 'verify-log'")
    return str(run_id)


def _require_mended_by_resuming(damaged: Logged) -> None:
    resumed = damaged.verify(resume=_run_id(damaged))
    assert (resumed.exit_code, resumed.document["state"]) == (0, "finished")
    assert not damaged.disagreement()


def _once_after(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, do: Callable[[], None]) -> None:  # noqa: ANN401
    """Have something done when a function returns for the first time."""
    real, todo = getattr(module, name), [do]

    def wrapped(*given: Any) -> Any:  # noqa: ANN401 - handed on
        result = real(*given)
        if todo:
            todo.pop()()
        return result

    monkeypatch.setattr(module, name, wrapped)
