"""A check of a part, a shared one and an older one say no more than they know."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.alerts.alerting import Alerting
from backfill.alerts.channels import addresses
from backfill.execution.pool import run_pool
from backfill.execution.runner import Request
from backfill.execution.worker import RunTuning
from backfill.reports.output import ReportOptions
from backfill.runs import store as runs
from backfill.runs.selection import Selection
from backfill.runs.session import session
from backfill.watch.service import once
from events.runtime.settings import Settings
from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.integration.watch.conftest import Inbox

EDIT = "UPDATE meter_balances SET total_billed = total_billed + 1000 WHERE meter_id = 1"
OPTIONS = {"dry_run": False, "chunk_size": 1}

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # a library's library, on Python 3.11


def test_a_watch_of_one_meter_looks_at_it_and_its_customer(
    database: Connection[Any], environment: dict[str, str], start_command: StartCommand, wait_until: WaitUntil
) -> None:
    database.execute(EDIT)
    start_command("backfill", "drift-check", "--every", "1s", "--meter", "1", env=environment)
    found = "SELECT entity_id FROM drift WHERE entity = 'meter'"
    wait_until(lambda: database.execute(found).fetchone() == (1,), what="the meter to be found")
    compared = "SELECT (tally ->> 'meters')::int, options ? 'promised_seconds' FROM backfill_runs ORDER BY started_at"
    wait_until(lambda: database.execute(compared).fetchone() == (2, False), what="it and its customer's other one")


def test_a_check_of_a_part_ends_no_alert_of_the_checker(
    database: Connection[Any], settings: Settings, inbox: Inbox
) -> None:
    database.execute("UPDATE customer_balances SET balance = balance + 1")
    database.execute("ALTER TABLE drift ADD CONSTRAINT not_four CHECK (entity_id <> 4)")
    assert _check(settings, inbox) == 2
    assert "Drift check: checker-failed found" in inbox.titles
    said = len(inbox.titles)
    assert _check(settings, inbox, Selection(customers=(5,))) == 1
    assert inbox.titles[said:] == []


def test_an_older_run_that_is_gone_on_with_ends_no_newer_alert(
    database: Connection[Any], settings: Settings, engine: Engine, inbox: Inbox
) -> None:
    with session(engine) as connection:
        older = runs.begin(connection, "drift-check", OPTIONS)
        run_pool(connection, older, stop=lambda: True)
    database.execute("UPDATE customer_balances SET balance = balance + 1 WHERE customer_id = 1")
    assert _check(settings, inbox) == 1
    database.execute("UPDATE customer_balances SET balance = balance - 1 WHERE customer_id = 1")
    with session(engine) as connection:
        resumed = runs.resume(connection, "drift-check", str(older.run_id), dry=False)
        Alerting(settings, addresses(settings, [inbox.address])).run_ended(
            connection, run_pool(connection, resumed, stop=lambda: False)
        )
    assert inbox.titles == ["Drift: customer-sum-off found"]
    assert _check(settings, inbox) == 0
    assert inbox.titles[1:] == ["Drift: customer-sum-off resolved"]


def test_processes_that_end_a_shared_check_together_say_each_alert_once(
    database: Connection[Any], settings: Settings, engine: Engine, inbox: Inbox
) -> None:
    database.execute(EDIT)
    with session(engine) as connection:
        run = run_pool(connection, runs.begin(connection, "drift-check", OPTIONS), stop=lambda: False)

    def alert(_: int) -> None:
        with session(engine) as connection:
            Alerting(settings, addresses(settings, [inbox.address])).run_ended(connection, run)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(alert, range(4)))
    assert inbox.titles == ["Drift: projection-edited found"]


def test_a_round_that_somebody_else_ended_is_said_and_tried_again(
    database: Connection[Any],
    environment: dict[str, str],
    start_command: StartCommand,
    wait_until: WaitUntil,
    inbox: Inbox,
) -> None:
    slowly = ("--every", "1s", "--chunk-size", "1", "--max-rows-per-second", "50", "--alert", inbox.address)
    service = start_command("backfill", "drift-check", *slowly, env=environment)
    under_way = (
        "SELECT 1 FROM backfill_runs WHERE state = 'running' AND phase = 'customers' AND cursor > 0"
        " AND EXISTS (SELECT FROM backfill_runs WHERE state = 'finished')"
    )
    wait_until(lambda: database.execute(under_way).fetchone(), what="a second round")
    database.execute("UPDATE backfill_runs SET state = 'cancelled' WHERE state = 'running'")
    wait_until(lambda: "Drift check: checker-failed found" in inbox.titles, what="the alert")
    assert "was cancelled by another process before it was complete" in service.stderr.read_text()
    wait_until(lambda: "Drift check: checker-failed resolved" in inbox.titles, what="the next round")


def test_a_report_asked_for_as_a_file_is_written_beside_alerts_on_standard_output(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand, tmp_path: Path
) -> None:
    database.execute(EDIT)
    file = tmp_path / "report.json"
    asked = ("--alert", "stdout:", "--format", "json", "--output", str(file))
    done = run_command("backfill", "drift-check", *asked, env=environment)
    assert done.exit_code == 1, done.stderr
    assert json.loads(file.read_text())["drifted_meters"] == 1
    assert [json.loads(line)["alert"] for line in done.stdout.splitlines()] == ["projection-edited"]


def test_what_is_no_file_is_not_replaced(environment: dict[str, str], run_command: RunCommand, tmp_path: Path) -> None:
    for place in (str(tmp_path), ".", "/dev/null"):
        done = run_command("backfill", "drift-check", "--output", place, env=environment)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done
        assert "not a file that can be replaced" in done.stderr
    assert not Path("/dev/null").is_file()


def _check(settings: Settings, inbox: Inbox, selection: Selection | None = None) -> int:
    request = Request(
        command="drift-check",
        report=ReportOptions(),
        tuning=RunTuning(governed=False),
        suppress_stdout=True,
        selection=selection or Selection(),
    )
    return once(settings, request, Alerting(settings, addresses(settings, [inbox.address])))
