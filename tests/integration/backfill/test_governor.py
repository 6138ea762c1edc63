"""A run learns from PostgreSQL and from Kafka how the consumers are, and gives way to them."""

from typing import Any

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.runs.session import plain
from backfill.throttle.governor import Broker
from events.runtime.deadline import Deadline
from events.runtime.settings import Settings
from projector.consume.writer import Writer
from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.support.examples import invoice
from tests.support.merge_harness import MergeHarness

MESSAGES = 31  # that these five customers make


@pytest.fixture
def consumer(database: Connection[Any], settings: Settings) -> Connection[Any]:
    """Leave what a consumer at work leaves: its last transaction took 30 ms."""
    database.execute(
        "INSERT INTO positions (group_id, topic, partition, next_offset, transaction_ms) VALUES (%s, 't', 0, 1, 30)",
        [settings.group_id],
    )
    return database


def test_a_consumer_leaves_word_of_how_long_its_last_transaction_took(engine: Engine, settings: Settings) -> None:
    harness = MergeHarness(engine, settings)
    writer = Writer(engine, settings)
    try:
        for number in (1, 2):
            writer.submit(harness.batch([invoice(number, 1, "1.00")])).result(30)
    finally:
        writer.close(Deadline.after(10))
        harness.close()
    with engine.connect() as connection:
        took = connection.exec_driver_sql("SELECT transaction_ms FROM positions WHERE transaction_ms > 0").scalars()
        assert 0 < next(took) < 60_000


def test_a_run_slows_down_while_transactions_take_longer_and_says_why(
    consumer: Connection[Any], environment: dict[str, str], start_command: StartCommand, wait_until: WaitUntil
) -> None:
    """So few rows are read a second that the run is under way when the consumer's transactions grow."""
    slowly = ("--chunk-size", "1", "--max-rows-per-second", "5")
    started = start_command("backfill", "drift-check", *slowly, env=environment)
    wait_until(lambda: consumer.execute("SELECT 1 FROM backfill_runs WHERE cursor > 0").fetchone(), what="a chunk")

    def throttled() -> bool:
        consumer.execute("UPDATE positions SET transaction_ms = 900, updated_at = now()")
        return "throttling" in started.stderr.read_text()

    wait_until(throttled, what="the run to throttle itself")
    assert "consumers' transactions take 900 ms, 30 ms before the run" in started.stderr.read_text()


def test_lag_is_what_kafka_has_and_postgresql_has_not(
    kafka_settings: Settings, kafka_environment: dict[str, str], engine: Engine, run_command: RunCommand
) -> None:
    sent = run_command("events", "simulate", "--customers", "5", "--months", "1", "--publish", env=kafka_environment)
    assert sent.exit_code == 0, sent.stderr
    assert _lag(kafka_settings, engine) == MESSAGES
    caught_up = run_command("projector", "run", "--until-caught-up", env=kafka_environment)
    assert caught_up.exit_code == 0, caught_up.stderr
    assert _lag(kafka_settings, engine) == 0


@pytest.mark.usefixtures("database")
def test_a_run_goes_on_where_kafka_is_away(environment: dict[str, str], run_command: RunCommand) -> None:
    away = environment | {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = run_command("backfill", "drift-check", env=away)
    assert (done.exit_code, "Traceback" in done.stderr) == (0, False), done.stderr


def test_without_kafka_the_lag_is_unknown_and_that_is_said_once(
    database: Connection[Any], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Broker(settings).lag(database) is None
    elsewhere = settings.model_copy(
        update={"kafka_bootstrap_servers": "127.0.0.1:1", "kafka": {"socket_timeout_ms": "1000"}}
    )
    broker = Broker(elsewhere)
    assert [broker.lag(database), broker.lag(database)] == [None, None]
    said = "".join(capsys.readouterr())
    assert said.count("lag unknown") == 1


def _lag(settings: Settings, engine: Engine) -> int | None:
    with plain(engine) as connection:
        return Broker(settings).lag(connection)
