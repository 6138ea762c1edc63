"""From drift to alerts that arrive: one of each cause and run, none repeated, one when it is over."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import Connection
from pydantic import SecretStr
from sqlalchemy import Engine

from backfill.alerts.alerting import Alerting
from backfill.alerts.channels import addresses
from backfill.execution.pool import run_pool
from backfill.execution.runner import Request, execute
from backfill.execution.worker import CHUNK_ENDS, RunTuning, process_chunk
from backfill.reports.output import ReportOptions
from backfill.runs import chunks
from backfill.runs import store as runs
from backfill.runs.session import session
from backfill.watch.service import once
from events.runtime import kafka
from events.runtime.errors import ServiceUnavailableError
from events.runtime.settings import Settings
from tests.conftest import RunCommand
from tests.integration.watch.conftest import Inbox

if TYPE_CHECKING:
    from confluent_kafka import Consumer

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # a library's library, on Python 3.11

EDIT = "UPDATE meter_balances SET total_billed = total_billed + 1000 WHERE meter_id IN (11, {})"
SUM = "UPDATE customer_balances SET overpayment = overpayment + 0.10 WHERE customer_id = 2"


def _check(settings: Settings, *to: str) -> int:
    return once(settings, _request(), Alerting(settings, addresses(settings, to)))


def _repair(settings: Settings) -> None:
    request = Request(command="rebuild", report=ReportOptions(), tuning=RunTuning(governed=False), suppress_stdout=True)
    assert execute(settings, request) == 0


def _request() -> Request:
    return Request(
        command="drift-check", report=ReportOptions(), tuning=RunTuning(governed=False), suppress_stdout=True
    )


def test_one_alert_a_cause_then_silence_then_one_when_it_is_over(
    database: Connection[Any], settings: Settings, inbox: Inbox
) -> None:
    assert _check(settings, inbox.address) == 0
    database.execute(SUM)
    database.execute(EDIT.format(11))
    assert _check(settings, inbox.address) == 1
    assert sorted(inbox.titles) == ["Drift: customer-sum-off found", "Drift: projection-edited found"]
    edited = next(message for message in inbox.messages if "projection-edited" in message["title"])
    assert "Off by KES 1,000.00 in all, on 1 meter." in edited["message"]
    assert "For details: backfill explain --meter 11" in edited["message"]

    assert _check(settings, inbox.address) == 1
    assert len(inbox.messages) == 2

    database.execute("UPDATE meter_balances SET total_billed = total_billed + 7 WHERE meter_id = 11")
    assert _check(settings, inbox.address) == 1
    assert inbox.titles[2:] == ["Drift: projection-edited changed"]

    _repair(settings)
    assert _check(settings, inbox.address) == 0
    assert sorted(inbox.titles[3:]) == ["Drift: customer-sum-off resolved", "Drift: projection-edited resolved"]
    assert _check(settings, inbox.address) == 0
    assert len(inbox.messages) == 5


def test_traffic_on_a_drifted_meter_is_no_news(database: Connection[Any], settings: Settings, inbox: Inbox) -> None:
    """What is recorded and expected both grow by what arrives; the difference stays, though not the balance's."""
    database.execute(EDIT.format(11))
    _check(settings, inbox.address)
    database.execute(
        "INSERT INTO payments (payment_id, meter_id, amount, currency, paid_at, projected_meter_id, projected_amount)"
        " VALUES (900, 11, 5000, 'KES', '2026-03-01', 11, 5000);"
        "UPDATE meter_balances SET total_paid = total_paid + 5000, payment_count = payment_count + 1,"
        " last_payment_at = '2026-03-01' WHERE meter_id = 11"
    )
    assert _check(settings, inbox.address) == 1
    assert len(inbox.messages) == 1


def test_amid_a_long_run_new_drift_is_said_at_once_and_its_repair_too(
    database: Connection[Any], engine: Engine, settings: Settings, inbox: Inbox
) -> None:
    """What became more is said when the run ends, for until then nobody knows how much it is."""
    alerting = Alerting(settings, addresses(settings, [inbox.address]))
    database.execute("UPDATE customer_balances SET overpayment = overpayment + 0.10 WHERE customer_id IN (1, 5)")
    with session(engine) as connection:
        run = runs.begin(connection, "drift-check", {"dry_run": False, "chunk_size": 1})
        for _ in range(5):
            run = chunks.ensure_chunk(connection, run, size=1, chunk_ends=CHUNK_ENDS)
            process_chunk(connection, run)
            alerting.during_run(connection, run)
        assert inbox.titles == ["Drift: customer-sum-off found"]
        assert "KES 0.10 in all so far, on 1 customer" in inbox.messages[0]["message"]
        run = run_pool(connection, run, stop=lambda: False, watch=lambda _: None)
        alerting.run_ended(connection, run)
        assert inbox.titles[1:] == ["Drift: customer-sum-off changed"]
        assert "KES 0.20 in all, on 2 customers" in inbox.messages[1]["message"]
        _repair(settings)
        alerting.during_run(connection, runs.begin(connection, "drift-check", {"dry_run": False, "chunk_size": 1}))
    assert inbox.titles[2:] == ["Drift: customer-sum-off resolved"]


def test_an_address_that_is_away_is_reported_and_told_later(
    database: Connection[Any], settings: Settings, inbox: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    database.execute(EDIT.format(11))
    inbox.refusing = True
    assert _check(settings, inbox.address, "stdout:") == 1
    printed = capsys.readouterr().out
    assert printed.count("alert not delivered") == 1
    assert "hush" not in printed
    inbox.refusing = False
    assert _check(settings, inbox.address, "stdout:") == 1
    assert inbox.titles == ["Drift: projection-edited found"]
    assert "projection-edited" not in capsys.readouterr().out  # it had that one the first time


def test_an_address_that_is_new_learns_what_is_open_and_nothing_that_is_over(
    database: Connection[Any], settings: Settings, inbox: Inbox
) -> None:
    database.execute(SUM)
    _check(settings, "stdout:")
    _repair(settings)
    _check(settings, "stdout:")
    database.execute(EDIT.format(11))
    _check(settings, "stdout:")
    _check(settings, "stdout:", inbox.address)
    assert inbox.titles == ["Drift: projection-edited found"]


def test_kafka_and_standard_output_carry_json(
    database: Connection[Any], kafka_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    database.execute(EDIT.format(1))
    database.execute(SUM)
    assert _check(kafka_settings, "kafka:", "stdout:") == 1
    written = [json.loads(text) for text in capsys.readouterr().out.splitlines() if text.startswith('{"alert"')]
    assert {each["alert"] for each in written} == {"projection-edited", "customer-sum-off"}
    topic = f"{kafka_settings.topic_prefix}.drift-alerts"
    assert _read(kafka_settings, topic, len(written)) == {each["alert"]: each for each in written}
    client = kafka.admin(kafka_settings)
    client.delete_topics([topic])[topic].result(timeout=120)


def test_a_chunk_that_cannot_be_compared_is_alerted_on_once(
    database: Connection[Any], settings: Settings, inbox: Inbox
) -> None:
    database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not <!here> today'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON drift FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    database.execute(EDIT.format(11))
    assert [_check(settings, inbox.address) for _ in range(2)] == [2, 2]
    assert inbox.titles == ["Drift check: checker-failed found"]
    assert "!here" in inbox.messages[0]["message"]
    assert "<!here>" not in inbox.messages[0]["message"]
    database.execute("DROP TRIGGER refuse ON drift")
    assert _check(settings, inbox.address) == 1
    assert inbox.titles[1:] == ["Drift check: checker-failed resolved", "Drift: projection-edited found"]


def test_a_database_that_is_away_is_alerted_on_once_by_one_process_and_over_when_it_is_back(
    settings: Settings, inbox: Inbox
) -> None:
    away = settings.model_copy(update={"database_url": SecretStr("postgresql://someone:hush@127.0.0.1:1/none")})
    alerting = Alerting(away, addresses(away, [inbox.address]))
    for _ in range(2):
        with pytest.raises(ServiceUnavailableError):
            once(away, _request(), alerting)
    assert inbox.titles == ["Drift check: checker-failed found"]
    assert "hush" not in inbox.messages[0]["message"]
    assert once(settings, _request(), alerting) == 0
    assert inbox.titles[1:] == ["Drift check: checker-failed resolved"]


def test_a_wrong_address_is_refused_in_one_line(environment: dict[str, str], run_command: RunCommand) -> None:
    for options, more in ((("--alert", "bogus://hush"), {}), ((), {"PROJECTOR_ALERTS": "kafka:,bogus://hush"})):
        done = run_command("backfill", "drift-check", *options, env={**environment, **more})
        assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done
        assert "hush" not in done.stderr


def _read(settings: Settings, topic: str, count: int) -> dict[str, Any]:
    consumer: Consumer = kafka.consumer(settings, **{"group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: dict[str, Any] = {}
    try:
        for message in consumer.consume(count, timeout=120):
            assert message.error() is None, message.error()
            found[(message.key() or b"").decode()] = json.loads(message.value() or b"")
    finally:
        consumer.close()
    return found
