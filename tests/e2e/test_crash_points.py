"""Killed at a named point: the test holds the lock that the next statement needs, so the product needs no hook."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection

from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.integration.backfill import history
from tests.support.deployment import EAGER, Deployment, log, records, wait_for_exit
from tests.support.programs import Started
from tests.support.written_down import in_currency, write_down

QUICK: Final = {"PROJECTOR_KAFKA__SESSION_TIMEOUT_MS": "1000", "PROJECTOR_KAFKA__HEARTBEAT_INTERVAL_MS": "300"}
PATIENT: Final = {**QUICK, "PROJECTOR_KAFKA__SESSION_TIMEOUT_MS": "10000"}
"""For a test that takes whatever is committed for a batch: a consumer that a busy machine keeps from being heard would
join again, which commits as well."""
LOCK_SECONDS: Final = 45.0  # a lock is waited for a minute; a signal ends that at once, on a busy machine too
TRAFFIC: Final = ("--seed", "9", "--customers", "40", "--months", "2")
STEPS: Final = (
    "positions", "dead_letters", "invoices", "payments", "meter_assignments", "customers", "meter_balances",
    "customer_balances",
)  # fmt: skip
"""What a batch writes, in its order: held before each, everything above it is written and not committed."""
BACKENDS: Final = "SELECT wait_event FROM pg_stat_activity WHERE application_name = %s AND state <> 'idle'"
WAITS: Final = "SELECT FROM pg_stat_activity WHERE application_name = %s AND %s = ANY (pg_blocking_pids(pid))"


@pytest.mark.parametrize("step", STEPS)
def test_a_batch_killed_before_a_step_leaves_nothing(deployment: Deployment, step: str) -> None:
    lines = deployment.simulate(*TRAFFIC)
    consumer = deployment.consumer(EAGER | QUICK)
    with _held_table(deployment, step) as waiting:
        published = deployment.command("events", "simulate", *TRAFFIC, "--poison", "5%", "--publish")
        assert published.exit_code == 0, published.stderr
        waiting()
        before = deployment.positions()
        _kill(consumer)
    _await_gone(_url(deployment), "projector run", deployment.wait_until)
    assert deployment.positions() == before

    deployment.catch_up(EAGER | QUICK)
    assert deployment.positions() == deployment.ends()
    assert not deployment.disagreement(lines)
    [(letters,)] = deployment.sql("SELECT count(*) FROM dead_letters")
    assert letters == deployment.progress() - len(lines)


def test_a_batch_killed_in_a_drain_leaves_nothing(deployment: Deployment) -> None:
    lines = deployment.simulate(*TRAFFIC)
    consumer = deployment.consumer(EAGER | QUICK)
    with _held_table(deployment, "meter_balances") as waiting:
        deployment.publish(lines)
        waiting()
        consumer.process.send_signal(signal.SIGTERM)
        before = deployment.positions()
        _kill(consumer)
    _await_gone(_url(deployment), "projector run", deployment.wait_until)
    assert deployment.positions() == before
    deployment.catch_up(EAGER | QUICK)
    assert not deployment.disagreement(lines)


def test_a_signal_ends_a_consumer_that_waits_for_its_positions_at_once(deployment: Deployment) -> None:
    with _held_table(deployment, "positions") as waiting:
        consumer = deployment.start(EAGER | QUICK)
        waiting()
        consumer.process.send_signal(signal.SIGTERM)
        assert wait_for_exit(consumer, LOCK_SECONDS) == 0, log(consumer)
    assert "Traceback" not in log(consumer)


def test_a_batch_committed_but_not_yet_answered_is_not_applied_again(deployment: Deployment) -> None:
    """The server waits, after the commit is on disk, for a standby that does not exist; the consumer dies waiting."""
    lines = deployment.simulate(*TRAFFIC)
    first = len(lines) // 4
    consumer = deployment.consumer(EAGER | PATIENT)
    deployment.publish(lines[:first])
    deployment.await_progress(first)
    deployment.wait_until(lambda: _events(consumer) == first, what="the first batches to be answered")
    with psycopg.connect(_url(deployment), autocommit=True) as connection, _standby_missing(connection):
        deployment.publish(lines[first:])
        deployment.wait_until(
            lambda: ("SyncRep",) in connection.execute(BACKENDS, ["projector run"]).fetchall(),
            what="a commit to wait for its standby",
        )
        assert deployment.progress() == first
        _kill(consumer)
    _await_gone(_url(deployment), "projector run", deployment.wait_until)
    committed = deployment.progress()
    assert committed > first == _events(consumer)

    rest = deployment.catch_up(EAGER | QUICK | {"PROJECTOR_LOG_FORMAT": "json"})
    batches = (json.loads(line) for line in rest.stderr.splitlines() if line.startswith("{"))
    assert sum(batch["events"] for batch in batches if batch["event"] == "batch") == len(lines) - committed
    assert not deployment.disagreement(lines)


def test_a_retry_of_dead_letters_killed_before_it_commits_leaves_them_open(deployment: Deployment) -> None:
    lines = deployment.simulate(*TRAFFIC)
    deployment.publish(lines)
    deployment.catch_up(EAGER | in_currency(deployment.settings, {}, "UGX"))
    write_down(deployment.settings)
    count = "SELECT count(*) FROM dead_letters WHERE state = 'open' AND reason = 'wrong-currency'"
    [(refused,)] = deployment.sql(count)
    assert refused > 0
    url = _url(deployment)
    lock = "LOCK TABLE billing.meter_balances IN SHARE MODE"
    with _holding(url, lock, "projector dead-letters retry", deployment.wait_until) as waiting:
        retry = deployment.start_command("projector", "dead-letters", "retry", "--all", env=deployment.environment)
        waiting()
        _kill(retry)
    _await_gone(url, "projector dead-letters retry", deployment.wait_until)
    assert deployment.sql(count) == [(refused,)]

    retried = deployment.command("projector", "dead-letters", "retry", "--all")
    assert retried.exit_code == 0, retried.stderr
    assert deployment.sql(count) == [(0,)]
    assert not deployment.disagreement(lines)


def test_a_publish_killed_midway_is_made_good_by_publishing_again(deployment: Deployment, tmp_path: Path) -> None:
    lines = deployment.simulate("--seed", "9", "--customers", "300", "--months", "3")
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(lines))
    publish = deployment.start_command("events", "publish", str(file), env=deployment.environment)
    deployment.wait_until(lambda: sum(deployment.ends().values()), what="something to be sent")
    publish.process.kill()
    publish.process.wait()
    deployment.publish(lines)
    deployment.catch_up(EAGER)
    assert not deployment.disagreement(lines)


REPAIR_POINTS: Final = {
    "its findings": "LOCK TABLE billing.drift IN SHARE MODE",
    "the history rows": "SELECT FROM billing.invoices WHERE invoice_id = 1 FOR UPDATE",
    "the meter rows": "SELECT FROM billing.meter_balances WHERE meter_id = 1 FOR UPDATE",
    "the customer rows": "SELECT FROM billing.customer_balances WHERE customer_id = 1 FOR UPDATE",
}


@pytest.mark.parametrize("point", REPAIR_POINTS)
def test_a_rebuild_killed_before_it_writes_leaves_nothing_and_is_resumed(
    environment: dict[str, str],
    run_command: RunCommand,
    start_command: StartCommand,
    wait_until: WaitUntil,
    point: str,
) -> None:
    url = environment["PROJECTOR_DATABASE_URL"]
    with psycopg.connect(url, options="-c search_path=billing") as seeding:
        history.write(seeding)
        seeding.execute("UPDATE invoices SET amount = amount + 1 WHERE invoice_id = 1")
    with psycopg.connect(url, autocommit=True) as reader:
        before = _projection(reader)
        with _holding(url, REPAIR_POINTS[point], "backfill", wait_until) as waiting:
            rebuild = start_command("backfill", "rebuild", env=environment)
            waiting()
            _kill(rebuild)
        _await_gone(url, "backfill", wait_until)
        assert _projection(reader) == before

        [run] = json.loads(run_command("backfill", "runs", "--format", "json", env=environment).stdout)
        assert run["state"] == "running"
        resumed = run_command("backfill", "rebuild", "--resume", run["run_id"], "--format", "json", env=environment)
        assert resumed.exit_code == 0, resumed.stderr
        assert {finding["entity_id"] for finding in json.loads(resumed.stdout)["findings"]} == {1}
        assert _projection(reader) != before
    assert run_command("backfill", "drift-check", env=environment).exit_code == 0


def _events(consumer: Started) -> int:
    """Count the events of the batches that a consumer says it has applied."""
    return sum(int(record["events"]) for record in records(consumer, "batch"))


def test_an_init_killed_in_the_middle_leaves_nothing(
    kafka_environment: dict[str, str], run_command: RunCommand, start_command: StartCommand, wait_until: WaitUntil
) -> None:
    """The test creates one of the last tables itself and does not commit: `init` has made all others and waits."""
    url = kafka_environment["PROJECTOR_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA billing CASCADE")
        connection.execute("CREATE SCHEMA billing")
        with _holding(url, "CREATE TABLE billing.drift ()", "projector init", wait_until) as waiting:
            init = start_command("projector", "init", env=kafka_environment)
            waiting()
            _kill(init)
        _await_gone(url, "projector init", wait_until)
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'billing'"
        assert connection.execute(tables).fetchone() == (0,)
        done = run_command("projector", "init", env=kafka_environment)
        assert done.exit_code == 0, done.stderr
        assert connection.execute(tables).fetchone() != (0,)


@contextmanager
def _holding(url: str, statement: str, program: str, wait_until: WaitUntil) -> Iterator[Callable[[], None]]:
    """Hold a lock; the value waits until the program waits for it."""
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as watcher:
        holder.execute(statement.encode())
        asked = [program, holder.info.backend_pid]
        yield lambda: wait_until(lambda: watcher.execute(WAITS, asked).fetchall(), what=f"a wait: {statement}")
        holder.rollback()


def _held_table(deployment: Deployment, table: str) -> AbstractContextManager[Callable[[], None]]:
    statement = f"LOCK TABLE billing.{table} IN SHARE MODE"
    return _holding(_url(deployment), statement, "projector run", deployment.wait_until)


def _url(deployment: Deployment) -> str:
    return deployment.settings.database_url.get_secret_value()


@contextmanager
def _standby_missing(connection: Connection[Any]) -> Iterator[None]:
    connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    connection.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        connection.execute("SELECT pg_reload_conf()")


def _kill(started: Started) -> None:
    assert started.process.poll() is None, started.stderr.read_text()
    started.process.kill()
    started.process.wait()


def _await_gone(url: str, program: str, wait_until: WaitUntil) -> None:
    """Wait until the server has noticed that the program's connections are gone, and rolled back."""
    with psycopg.connect(url, autocommit=True) as watcher:
        wait_until(
            lambda: not watcher.execute(BACKENDS, [program]).fetchall(), what="the dead one's transaction to end"
        )


def _projection(connection: Connection[Any]) -> list[Any]:
    meters = connection.execute("SELECT m::text FROM billing.meter_balances m ORDER BY meter_id").fetchall()
    return [*meters, *connection.execute("SELECT c::text FROM billing.customer_balances c ORDER BY 1").fetchall()]
