"""A chunk that was compared is repaired before the next: half a rebuild has repaired half, and loses no finding."""

import json
from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution.pool import run_pool
from backfill.runs import store as runs
from backfill.runs.drift import findings
from backfill.runs.session import session
from backfill.runs.store import Run
from tests.conftest import RunCommand, StartCommand, WaitUntil

ALL: Final = (
    "UPDATE meter_balances SET total_billed = total_billed + 1;"
    "UPDATE customer_balances SET total_billed = total_billed + 1"
)
WAITS: Final = "SELECT FROM pg_stat_activity WHERE application_name = 'backfill' AND %s = ANY (pg_blocking_pids(pid))"
LEFT: Final = "SELECT DISTINCT entity, entity_id FROM drift WHERE repaired_at IS NULL ORDER BY 1, 2"
SHOWN_UNDER_1: Final = (
    "UPDATE meter_balances SET customer_id = 1 WHERE meter_id = 9;"
    "UPDATE customer_balances SET active_meters = 1 WHERE customer_id = 5"
)
BEYOND: Final = {
    "a row that counts at a meter of a later chunk": "UPDATE invoices SET meter_id = 9 WHERE invoice_id = 1",
    "a row that was counted at a meter without a customer": "UPDATE invoices SET meter_id = 1 WHERE invoice_id = 11",
    "a customer of a later chunk, who has had the meter": ALL,
    "a meter that is shown under a customer of a later chunk": (
        "UPDATE meter_balances SET customer_id = 5 WHERE meter_id = 1;"
        "UPDATE customer_balances SET balance = balance + 1 WHERE customer_id = 5"
    ),
    "a meter of a later chunk, shown under the customer of a damaged meter": (
        f"{SHOWN_UNDER_1}; UPDATE meter_balances SET total_billed = 5 WHERE meter_id = 2"
    ),
    "a meter of a later chunk, shown under a damaged customer": (
        f"{SHOWN_UNDER_1}; UPDATE customer_balances SET balance = balance + 1 WHERE customer_id = 1"
    ),
    "two meters without a customer, shown under one": (
        "UPDATE meter_assignments SET active = false, unassigned_at = '2026-03-01' WHERE meter_id = 9;"
        "UPDATE meter_balances SET customer_id = 1 WHERE meter_id IN (9, 11)"
    ),
}
"""Damage that a repair of one chunk cannot undo without changing what is compared in a later one."""


def test_killed_and_cancelled_halfway_what_was_compared_is_repaired_and_the_record_counts_it(
    database: Connection[Any],
    environment: dict[str, str],
    run_command: RunCommand,
    start_command: StartCommand,
    wait_until: WaitUntil,
) -> None:
    """Killed in the repair of customer 4. Meter 3 of customer 2 has belonged to customer 5, who was not compared."""
    database.execute(ALL)
    with psycopg.connect(environment["PROJECTOR_DATABASE_URL"]) as holder:
        holder.execute("SELECT FROM billing.customer_balances WHERE customer_id = 4 FOR UPDATE")
        rebuild = start_command("backfill", "rebuild", "--chunk-size", "1", env=environment)
        wait_until(lambda: database.execute(WAITS, [holder.info.backend_pid]).fetchall(), what="the repair to wait")
        rebuild.process.kill()
        rebuild.process.wait()
    [(run_id,)] = database.execute("SELECT run_id FROM backfill_runs").fetchall()
    shown = run_command("backfill", "runs", "show", str(run_id), env=environment)
    assert "8 meters and 4 customers differed; 7 of them repaired so far." in shown.stdout

    cancelled = run_command("backfill", "runs", "cancel", str(run_id), env=environment)
    assert cancelled.stdout == (
        f"rebuild {run_id} is cancelled. 8 meters and 4 customers differed; 7 of them repaired, 5 left as they were.\n"
    )
    left = [("customer", 2), ("customer", 4), ("meter", 3), ("meter", 7), ("meter", 8)]
    assert database.execute(LEFT).fetchall() == left
    [record] = json.loads(run_command("backfill", "runs", "--format", "json", env=environment).stdout)
    assert (record["drifted"], record["repaired"], record["unrepaired"]) == (12, 7, 5)

    never_reached = [("customer", 5), ("meter", 9), ("meter", 10), ("meter", 11)]
    checked = json.loads(run_command("backfill", "drift-check", "--format", "json", env=environment).stdout)
    assert {(each["entity"], each["entity_id"]) for each in checked["findings"]} == {*left, *never_reached}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("damage", BEYOND.values(), ids=BEYOND)
def test_what_is_repaired_at_once_takes_nothing_from_the_report(
    database: Connection[Any], engine: Engine, damage: str, workers: int
) -> None:
    database.execute(damage)
    expected = _report(database, _rebuilt(engine, dry_run=True))
    rebuilt = _rebuilt(engine, dry_run=False, workers=workers)
    assert _report(database, rebuilt) == expected
    assert (rebuilt.state, rebuilt.tally.unrepaired, rebuilt.tally.repaired) == ("finished", 0, rebuilt.tally.drifted)
    assert not _rebuilt(engine, dry_run=True).tally.drifted


def _rebuilt(engine: Engine, *, dry_run: bool, workers: int = 1) -> Run:
    with session(engine) as connection:
        run = runs.begin(connection, "rebuild", {"dry_run": dry_run, "chunk_size": 1})
        return run_pool(connection, run, stop=lambda: False, others=[lambda: session(engine)] * (workers - 1))


def _report(database: Connection[Any], run: Run) -> list[tuple[Any, ...]]:
    return [row[:8] for row in findings(database, run, None)]
