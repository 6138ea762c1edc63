"""The check that is always on, as an operator starts and stops it."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row
from sqlalchemy import Engine, make_url

from backfill.runs import check_lock
from backfill.runs import store as runs
from backfill.runs.session import session
from projector.sandbox.ports import HOST
from projector.status import status
from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.faults.proxy import Proxy
from tests.integration.watch.conftest import Inbox

EDIT = "UPDATE meter_balances SET total_billed = total_billed + 1000 WHERE meter_id = 11"
COVERAGE = "Drift check: coverage-behind {}"
WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
FINISHED = "SELECT count(*) FROM backfill_runs WHERE state = 'finished'"


def test_a_check_every_second_says_what_is_new_and_ends_with_a_signal(  # noqa: PLR0913, PLR0917 - fixtures
    database: Connection[Any],
    environment: dict[str, str],
    start_command: StartCommand,
    run_command: RunCommand,
    wait_until: WaitUntil,
    inbox: Inbox,
) -> None:
    env = {**environment, "PROJECTOR_ALERTS": inbox.address}
    service = start_command("backfill", "drift-check", "--every", "1s", "--alert", "stdout:", env=env)
    wait_until(lambda: _count(database, FINISHED) >= 1, what="the first round")
    database.execute(EDIT)
    wait_until(lambda: inbox.drifts == ["Drift: projection-edited found"], what="the alert")
    seen = _count(database, FINISHED)
    wait_until(lambda: _count(database, FINISHED) >= seen + 2, what="two more rounds")
    assert run_command("backfill", "rebuild", env=environment).exit_code == 0
    wait_until(lambda: len(inbox.drifts) == 2, what="the all-clear")
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(120) == 0, service.stderr.read_text()
    assert inbox.drifts[1:] == ["Drift: projection-edited resolved"]
    told = [(each["alert"], each["state"]) for each in _lines(service.stdout)]
    assert [each for each in told if each[0] != "coverage-behind"] == [
        ("projection-edited", "raised"), ("projection-edited", "resolved"),
    ]  # fmt: skip
    assert "hush" not in service.stderr.read_text()
    for each in _lines(service.stdout):
        assert environment["PROJECTOR_DATABASE_URL"].endswith(each["database"])
        assert (each["schema"], each["consumer_group"]) == ("billing", environment["PROJECTOR_GROUP_ID"])
    assert all(f"consumer group {environment['PROJECTOR_GROUP_ID']}" in each["message"] for each in inbox.messages)


def test_a_rolling_check_spreads_its_chunks_and_goes_on_after_a_restart(
    database: Connection[Any],
    environment: dict[str, str],
    start_command: StartCommand,
    wait_until: WaitUntil,
    inbox: Inbox,
) -> None:
    """Six customers in fifteen seconds: it is stopped at its first rests, and its round is gone on with.

    A round that is older than thirty seconds is not. So that a slow machine's start takes nothing of that, the program
    that is started again finds a round that has only just begun.
    """
    database.execute("UPDATE customer_balances SET balance = balance + 1 WHERE customer_id = 1")
    arguments = ("backfill", "drift-check", "--cover-within", "15s", "--alert", inbox.address, "--format", "json")
    first = start_command(*arguments, env=environment)
    wait_until(lambda: inbox.drifts == ["Drift: customer-sum-off found"], what="an alert before the round's end")
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(120) == 0, first.stderr.read_text()
    (paused,) = _runs(database)
    assert (paused["state"], paused["options"]["chunk_size"]) == ("paused", 1)
    assert 1 <= paused["tally"]["customers"] < 6

    database.execute("UPDATE backfill_runs SET started_at = clock_timestamp()")
    second = start_command(*arguments, env=environment)
    wait_until(lambda: _count(database, FINISHED) == 1, what="the round's end")
    wait_until(lambda: len(_runs(database)) == 2, what="the next round")
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(120) == 0, second.stderr.read_text()
    first_round, second_round = _runs(database)
    assert first_round["run_id"] == paused["run_id"]
    assert first_round["tally"]["customers"] == 6
    took = (first_round["finished_at"] - first_round["started_at"]).total_seconds()
    assert took > 7, "spread, and not done at once"
    assert (second_round["started_at"] - first_round["started_at"]).total_seconds() > 12
    assert inbox.drifts == ["Drift: customer-sum-off found"]


def test_only_one_checker_at_a_time(
    database: Connection[Any], engine: Engine, environment: dict[str, str], run_command: RunCommand
) -> None:
    with session(engine) as connection:
        check_lock.claim(connection)
        run = runs.begin(connection, "drift-check", {"dry_run": False, "chunk_size": 1})
        for options in ((), ("--every", "1s"), ("--cover-within", "10s")):
            other = run_command("backfill", "drift-check", *options, env=environment)
            assert (other.exit_code, other.stdout) == (2, ""), other
            assert len(other.stderr.splitlines()) == 1
            assert f"another drift check is running on this database: run {run.run_id}" in other.stderr
        assert run_command("backfill", "rebuild", "--dry-run", env=environment).exit_code == 0
    assert run_command("backfill", "drift-check", env=environment).exit_code == 0
    assert _count(database, "SELECT count(*) FROM backfill_runs WHERE command = 'drift-check'") == 2


def test_coverage_that_falls_behind_is_alerted_on_and_shown(  # noqa: PLR0913, PLR0917 - fixtures
    database: Connection[Any],
    environment: dict[str, str],
    start_command: StartCommand,
    wait_until: WaitUntil,
    inbox: Inbox,
    engine: Engine,
) -> None:
    """The last comparison of everything was yesterday, and no round can be completed: a chunk fails each time."""
    env = {**environment, "PROJECTOR_ALERTS": inbox.address}
    service = start_command("backfill", "drift-check", "--every", "1h", env=env)
    wait_until(lambda: _count(database, FINISHED) == 1, what="a round")
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(120) == 0
    assert _verified(engine)["overdue"] is False
    for column in ("started_at", "finished_at"):
        database.execute(f"UPDATE backfill_runs SET {column} = {column} - interval '1 day'")
    assert _verified(engine)["overdue"] is True
    database.execute("UPDATE meter_balances SET total_billed = total_billed + 1")
    database.execute("ALTER TABLE drift ADD CONSTRAINT none CHECK (entity_id < 0) NOT VALID")
    again = start_command("backfill", "drift-check", "--every", "1h", env=env)
    wait_until(lambda: COVERAGE.format("found") in inbox.titles, what="alerts")
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(120) == 0
    raised = inbox.messages[inbox.titles.index(COVERAGE.format("found"))]["message"]
    assert " EAT; promised within 2:00:00" in raised
    assert _count(database, FINISHED) == 2, "it compared first"

    database.execute("ALTER TABLE drift DROP CONSTRAINT none")
    third = start_command("backfill", "drift-check", "--every", "1h", env=env)
    wait_until(lambda: COVERAGE.format("resolved") in inbox.titles, what="the all-clear")
    third.process.send_signal(signal.SIGTERM)
    assert third.process.wait(120) == 0
    resolved = inbox.messages[inbox.titles.index(COVERAGE.format("resolved"))]["message"]
    assert "Everything has been compared within the promised time again. Before: Everything was last" in resolved
    assert resolved != raised
    assert _verified(engine)["overdue"] is False


def test_a_service_that_starts_after_a_long_pause_compares_before_it_alerts(
    database: Connection[Any],
    environment: dict[str, str],
    start_command: StartCommand,
    run_command: RunCommand,
    wait_until: WaitUntil,
) -> None:
    assert run_command("backfill", "drift-check", env=environment).exit_code == 0
    for column in ("started_at", "finished_at"):
        database.execute(f"UPDATE backfill_runs SET {column} = {column} - interval '1 day'")
    service = start_command("backfill", "drift-check", "--every", "1h", "--alert", "stdout:", env=environment)
    wait_until(lambda: _count(database, FINISHED) >= 2, what="the first round")
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(120) == 0, service.stderr.read_text()
    assert service.stdout.read_text() == ""
    assert _count(database, "SELECT count(*) FROM alerts") == 0


def test_a_round_that_fails_is_said_and_tried_again(
    database: Connection[Any],
    environment: dict[str, str],
    start_command: StartCommand,
    wait_until: WaitUntil,
    inbox: Inbox,
) -> None:
    service = start_command("backfill", "drift-check", "--every", "1s", "--alert", inbox.address, env=environment)
    wait_until(lambda: _count(database, FINISHED) >= 1, what="the first round")
    database.execute("ALTER TABLE customer_balances RENAME TO gone")
    wait_until(lambda: "Drift check: checker-failed found" in inbox.titles, what="the alert")
    database.execute("ALTER TABLE gone RENAME TO customer_balances")
    wait_until(lambda: "Drift check: checker-failed resolved" in inbox.titles, what="the all-clear")
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(120) == 0, service.stderr.read_text()
    assert sum("checker-failed" in title for title in inbox.titles) == 2


def test_a_signal_while_postgresql_does_not_answer_ends_with_3(
    connect: Callable[[], Connection[Any]],
    environment: dict[str, str],
    start_command: StartCommand,
    wait_until: WaitUntil,
) -> None:
    url = make_url(environment["PROJECTOR_DATABASE_URL"])
    proxy = Proxy(url.port or 5432)
    through = url.set(host=HOST, port=proxy.port).render_as_string(hide_password=False)
    env = {**environment, "PROJECTOR_DATABASE_URL": through, "PROJECTOR_SHUTDOWN_SECONDS": "0.1"}
    holder = connect()
    try:
        with holder.transaction():
            holder.execute("LOCK TABLE billing.invoices")
            service = start_command("backfill", "drift-check", "--every", "1h", env=env)
            wait_until(lambda: _count(holder, WAITING), what="a chunk that waits")
            proxy.hang()
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(120) == 3, service.stderr.read_text()
    finally:
        proxy.close()
    assert " did not answer; resume with `backfill drift-check --resume " in service.stderr.read_text()


def test_what_cannot_be_watched_is_refused_in_one_line(environment: dict[str, str], run_command: RunCommand) -> None:
    cases = {
        ("--every", "soon"): "--every soon: not a duration such as 90s, 5m, 24h or 1h30m",
        ("--every", "5m", "--cover-within", "24h"): "choose one",
        ("--every", "5m", "--resume", "x"): "leave out --every and --cover-within",
    }
    for options, reason in cases.items():
        done = run_command("backfill", "drift-check", *options, env=environment)
        assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done
        assert reason in done.stderr


def _count(database: Connection[Any], query: str) -> int:
    (count,) = database.execute(query.encode()).fetchone() or (0,)
    return int(count)


def _runs(database: Connection[Any]) -> list[dict[str, Any]]:
    with database.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM backfill_runs ORDER BY started_at").fetchall()


def _verified(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(status.STATUS["last_verified"]).mappings()
        return dict(rows.one())


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in file.read_text().splitlines()]
