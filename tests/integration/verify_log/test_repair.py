"""What was found is replayed through the merge, until log, history and balances agree."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from backfill.runs.tally import Tally
from backfill.verify_log import settle
from events.contract.types import topic_of
from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.integration.verify_log.conftest import Logged
from tests.support.examples import CloudEvent, assigned, customer, invoice, payment

EVENTS: Final[list[CloudEvent]] = [
    *(customer(key, f"customer {key}") for key in (7, 8)),
    *(assigned(key, 40 + key, 7) for key in range(1, 7)),
    *(invoice(key, 40 + key % 6 + 1, f"{key}00.00", invoice_date=f"2026-01-{key:02}") for key in range(1, 13)),
    *(payment(key, f"{key}0.00", invoice_id=key) for key in range(1, 13)),
]
DAMAGE: Final = (
    "UPDATE invoices SET amount = amount + 500 WHERE invoice_id = 1",
    "UPDATE invoices SET amount = amount + 500, projected_amount = projected_amount + 500 WHERE invoice_id = 2",
    "UPDATE meter_balances SET total_billed = total_billed + 500 WHERE meter_id = 43",
    "DELETE FROM invoices WHERE invoice_id = 3",
    "UPDATE invoices SET version = 9, meter_id = 41, projected_meter_id = 41 WHERE invoice_id = 4",
    "UPDATE invoices SET voided = true WHERE invoice_id = 5",
    "UPDATE invoices SET version = 5, source_offset = 100000, amount = 1 WHERE invoice_id = 6",
    "DELETE FROM payments WHERE payment_id = 1",
    "UPDATE payments SET invoice_id = 8 WHERE payment_id = 2",
    "UPDATE payments SET meter_id = 45, event_id = 'zz' WHERE payment_id = 4",
    "UPDATE payments SET paid_at = '294276-12-31Z' WHERE payment_id = 7",
    "UPDATE payments SET amount = 1, source_partition = NULL, source_offset = NULL WHERE payment_id = 9",
    "DELETE FROM meter_assignments WHERE assignment_id = 1",
    "UPDATE meter_assignments SET customer_id = 8 WHERE assignment_id = 2",
    "UPDATE meter_assignments SET meter_id = 46, version = 3 WHERE assignment_id = 3",
    "UPDATE meter_assignments SET ended = NULL, active = false WHERE assignment_id = 4",
    "UPDATE meter_assignments SET ended = true WHERE assignment_id = 5",
    "UPDATE meter_assignments SET assigned_at = '2099-01-01', active = false WHERE assignment_id = 6",
    "UPDATE customers SET name = 'Somebody Else', version = 7 WHERE customer_id = 8",
    "DELETE FROM customers WHERE customer_id = 7",
)


pytestmark = pytest.mark.usefixtures("environment")


def test_after_a_repair_log_history_and_balances_agree(
    logged: Logged, run_command: RunCommand, kafka_environment: dict[str, str]
) -> None:
    logged.apply(*EVENTS)
    assert not logged.disagreement()
    for statement in DAMAGE:
        logged.sql(statement)
    repaired = logged.verify(repair=True)
    assert repaired.exit_code == 0, repaired.document
    assert all(each["repaired_at"] for each in repaired.document["findings"])
    assert repaired.document["repaired"] == len({each[:2] for each in repaired.found})
    assert not logged.disagreement()
    assert logged.verify().exit_code == 0
    checked = run_command("backfill", "drift-check", env=kafka_environment)
    assert checked.exit_code == 0, checked.stdout


def test_what_a_row_turned_away_by_a_claim_is_brought_back(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """It claims a version that no event has; the genuine next one came after the run had read where the log ends."""
    logged.apply(*EVENTS)
    logged.sql("UPDATE invoices SET version = 99, amount = 1 WHERE invoice_id = 1")
    newer = invoice(1, 42, "150.00", "amended", version=2)
    settle_ = settle.settle

    def settle_while_events_come(*given: Any, **named: Any) -> Tally:  # noqa: ANN401 - handed on
        logged.apply(newer)
        monkeypatch.setattr(settle, "settle", settle_)
        return settle_(*given, **named)

    monkeypatch.setattr(settle, "settle", settle_while_events_come)
    repaired = logged.verify(repair=True)
    assert repaired.exit_code == 0, repaired.document
    assert not logged.disagreement()


def test_what_is_rightly_newer_stays(
    logged: Logged, run_command: RunCommand, kafka_environment: dict[str, str]
) -> None:
    """A replay never steps back; what cannot be replayed is told."""
    logged.apply(invoice(1, 42, "100.00"))
    logged.apply(invoice(1, 42, "150.00", "amended", version=2))
    topic = topic_of("invoices", logged.settings.topic_prefix)
    [(partition, offset)] = logged.sql("SELECT source_partition, source_offset FROM invoices")
    places = [{"topic": topic, "partition": partition, "offset": each} for each in (offset - 1, offset)]
    lines = "".join(json.dumps(place) + "\n" for place in places[:1])
    done = run_command("projector", "replay", "-", "--format", "json", stdin=lines, env=kafka_environment)
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"replayed": 1, "refused": 0, "left": []}), done.stderr
    assert not logged.disagreement()

    logged.delete_before("invoices", partition, offset)
    for line in (lines, lines.replace('"offset"', '"off"'), json.dumps({**places[1], "offset": offset + 1})):
        done = run_command("projector", "replay", "-", stdin=line, env=kafka_environment)
        assert done.exit_code == 2
        assert done.stderr.startswith("projector: ")


def test_a_row_of_which_the_log_knows_nothing_is_told_and_left(logged: Logged) -> None:
    logged.apply(invoice(1, 42, "100.00"))
    logged.sql("""
        INSERT INTO invoices (invoice_id, version, event_id, meter_id, amount, currency, invoice_date,
                              source_partition, source_offset)
        SELECT 99, 1, 'x', 42, 500, currency, invoice_date, source_partition, source_offset FROM invoices""")
    repaired = logged.verify(repair=True)
    assert repaired.exit_code == 1
    assert repaired.found == {("invoice", 99, "invoice_id", "99", None, "history-unknown")}
    assert logged.sql("SELECT count(*) FROM invoices") == [(2,)]


def test_a_replay_killed_before_it_commits_leaves_the_rows_as_they_were(
    logged: Logged,
    start_command: StartCommand,
    kafka_environment: dict[str, str],
    wait_until: WaitUntil,
    tmp_path: Path,
) -> None:
    """It waits for a meter's row, when history is lowered and merged already."""
    logged.apply(*EVENTS)
    logged.sql("UPDATE invoices SET amount = 1 WHERE invoice_id = 1")
    [place] = logged.sql("SELECT source_partition, source_offset FROM invoices WHERE invoice_id = 1")
    topic = topic_of("invoices", logged.settings.topic_prefix)
    places = tmp_path / "places"
    places.write_text(json.dumps({"topic": topic, "partition": place[0], "offset": place[1]}))
    with logged.engine.begin() as held:
        held.exec_driver_sql("SELECT FROM meter_balances FOR UPDATE")
        replaying = start_command("projector", "replay", str(places), env=kafka_environment)
        waiting = "SELECT FROM pg_stat_activity WHERE application_name = :name AND wait_event_type = 'Lock'"
        wait_until(lambda: logged.sql(waiting, name="projector replay"), what="the replay to wait for the meter")
        replaying.process.kill()
        replaying.process.wait()
    verified = logged.verify()
    assert {each[:3] for each in verified.found} == {("invoice", 1, "amount")}
    assert logged.verify(repair=True).exit_code == 0
    assert not logged.disagreement()
