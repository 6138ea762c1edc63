"""What a log may hold, and no longer hold, without history being wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import KafkaException
from sqlalchemy import Engine

from events.contract.decode import Decoder
from events.contract.types import topic_of
from events.runtime import kafka
from events.runtime.errors import ServiceUnavailableError, StateError
from projector.consume import merge
from projector.dead_letters.resolve import discard, retry
from projector.dead_letters.selection import Selection
from projector.kafka_log.topics import create_topics
from tests.conftest import WaitUntil
from tests.integration.verify_log.conftest import Logged
from tests.support.examples import assigned, invoice, line, payment

DOLLARS = {**invoice(50, 42, "5.00"), "id": "usd"}
DOLLARS["data"] = {**DOLLARS["data"], "currency": "USD"}


def test_refused_messages_are_not_expected_and_retried_ones_are(logged: Logged, engine: Engine) -> None:
    """One that nobody can read, one that is discarded, one that PostgreSQL refused, one in another currency."""
    logged.apply(invoice(1, 42, "100.00"))
    for value in (b"not json", line(DOLLARS)):
        logged.send_raw("invoices", value)
    logged.catch_up()
    first = logged.verify()
    assert first.exit_code == 0, first.document
    assert first.log["refused"] == 2

    with _driver(engine) as connection:
        discard(connection, Selection(reason="not-json"), by="tests", why="garbage")
        merge.prepare(connection)
        retry(connection, Selection(), Decoder("USD", logged.settings.topic_prefix), "tests")
    second = logged.verify()
    assert second.exit_code == 0, second.document
    assert second.log["refused"] == 1

    logged.sql("DELETE FROM invoices WHERE invoice_id = 50")
    assert {each[0:2] for each in logged.verify().found} == {("invoice", 50)}


def test_a_message_that_was_refused_and_left_no_dead_letter_is_told(logged: Logged) -> None:
    logged.apply(invoice(1, 42, "100.00"))
    logged.send_raw("invoices", b"not json")
    logged.catch_up()
    logged.sql("DELETE FROM dead_letters")
    verified = logged.verify()
    assert (verified.exit_code, verified.log["unreadable"], verified.found) == (2, 1, set())


def test_conflicts_and_repetitions_across_partitions_are_settled_as_the_merge_settles_them(logged: Logged) -> None:
    """One id with two contents, a partition's message twice, and a version that comes back in another partition."""
    states = [invoice(1, 42, "100.00"), invoice(1, 42, "999.00"), invoice(1, 42, "50.00", version=2, event_id="b")]
    for partition, number in ((2, 0), (1, 1), (0, 0), (1, 1), (2, 2), (0, 2), (1, 0)):
        logged.send_raw("invoices", line(states[number]), partition)
    logged.catch_up()
    other = [invoice(2, 42, "1.00"), invoice(2, 42, "2.00")]
    for partition, number in ((1, 0), (0, 1), (2, 0)):
        logged.send_raw("invoices", line(other[number]), partition)
    logged.catch_up()
    verified = logged.verify()
    assert verified.exit_code == 0, verified.document
    assert logged.sql("SELECT amount FROM invoices WHERE invoice_id = 2")[0][0] == 2


def test_what_retention_has_taken_is_said_and_not_compared(logged: Logged) -> None:
    logged.send_raw("invoices", line(invoice(1, 42, "100.00")))
    logged.send_raw("invoices", line(invoice(2, 42, "10.00")))
    logged.send_raw("invoices", line(invoice(2, 42, "11.00", version=2)))
    logged.catch_up()
    logged.sql("INSERT INTO invoices (invoice_id, amount, currency, invoice_date) VALUES (77, 1, 'KES', '2020-01-01')")
    logged.delete_before("invoices", 0, 2)
    logged.sql("UPDATE invoices SET amount = 5 WHERE invoice_id = 1")
    verified = logged.verify()
    assert (verified.exit_code, verified.found) == (0, set())
    assert (verified.log["rows_expired"], verified.log["rows_loaded"], verified.log["rows_confirmed"]) == (1, 1, 1)
    logged.delete_before("invoices", 0, 3)
    assert logged.verify().log["rows_expired"] == 2


def test_what_was_applied_since_the_start_is_newer(logged: Logged) -> None:
    """A position that was moved back leaves rows whose messages lie behind it."""
    logged.apply(invoice(1, 42, "100.00"))
    logged.apply(invoice(1, 42, "101.00", version=2), payment(1, "1.00", invoice_id=1))
    logged.sql("UPDATE positions SET next_offset = 0")
    verified = logged.verify()
    assert (verified.exit_code, verified.found) == (0, set())
    assert verified.log["rows_newer"] == verified.log["rows"] == 2


def test_what_a_moved_position_has_skipped_is_missing(logged: Logged) -> None:
    logged.apply(invoice(1, 42, "100.00"))
    logged.send(assigned(1, 42, 7))
    for (topic, partition), log in logged.logs().items():
        logged.sql(
            "UPDATE positions SET next_offset = :high WHERE topic = :topic AND partition = :partition",
            high=log.high, topic=topic, partition=partition,
        )  # fmt: skip
    assert logged.verify().found == {("assignment", 1, "assignment_id", None, "1", "history-missing")}


def test_a_topic_that_was_created_again_is_refused_until_it_was_read_anew(
    logged: Logged, wait_until: WaitUntil
) -> None:
    """Rows keep the places of the log before; what was published again says the same, whatever its offset."""
    for number in range(6):
        logged.send_raw("invoices", line(invoice(number + 1, 42, f"{number}.00")))
    logged.catch_up()
    topic = topic_of("invoices", logged.settings.topic_prefix)
    logged.client.delete_topics([topic])[topic].result()
    wait_until(lambda: topic not in logged.client.list_topics(timeout=10).topics, what="the topic to be deleted")
    create_topics(logged.client, logged.settings)
    wait_until(lambda: _is_there(logged, topic), what="the topic to be there again")
    with pytest.raises(StateError, match="was recreated"):
        logged.verify()

    for number in (5, 4, 3, 2, 1, 0):
        logged.send_raw("invoices", line(invoice(number + 1, 42, f"{number}.00")))
    logged.sql("UPDATE positions SET next_offset = 0, topic_id = :uid WHERE topic = :topic",
               uid=logged.logs()[topic, 0].topic_id, topic=topic)  # fmt: skip
    logged.catch_up()
    verified = logged.verify()
    assert (verified.exit_code, verified.found) == (0, set()), verified.document


def test_a_log_that_ends_before_the_positions_is_refused(logged: Logged) -> None:
    logged.apply(invoice(1, 42, "100.00"))
    logged.sql("UPDATE positions SET next_offset = next_offset + 5")
    with pytest.raises(StateError, match="it was truncated"):
        logged.verify()


def test_nothing_is_compared_where_nothing_was_read(logged: Logged) -> None:
    with pytest.raises(StateError, match="nothing to compare"):
        logged.verify()


def test_a_broker_that_is_away_is_told_before_anything_is_begun(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "PROBE_SECONDS", 0.5)
    logged.settings = logged.settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    with pytest.raises(ServiceUnavailableError, match=r"127\.0\.0\.1:1"):
        logged.verify()
    assert logged.sql("SELECT FROM backfill_runs") == []


def test_it_is_no_drift_check(logged: Logged) -> None:
    """Neither when all was last compared nor an alert's end rests on it."""
    logged.apply(invoice(1, 42, "100.00"))
    run = UUID(logged.verify().document["run_id"])
    assert logged.sql("SELECT command FROM backfill_runs WHERE run_id = :run", run=run) == [("verify-log",)]
    assert logged.sql("SELECT FROM backfill_runs WHERE verified") == []


def _is_there(logged: Logged, topic: str) -> bool:
    try:
        return (topic, 0) in logged.logs()
    except (StateError, KafkaException):  # of several parts of a broker, one hears of it first
        return False


@contextmanager
def _driver(engine: Engine) -> Iterator[Any]:
    """Take a connection of psycopg's own."""
    pooled = engine.raw_connection()
    connection: Any = pooled.driver_connection
    connection.autocommit = True
    yield connection
    pooled.invalidate()
