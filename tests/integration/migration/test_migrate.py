"""A migration as an operator types it, from an import of legacy rows to a clean drift check, and the way back."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from psycopg import Connection
from sqlalchemy import Engine, text

from tests.conftest import Result, RunCommand
from tests.integration.migration.conftest import Contents, Drift
from tests.support.merge_harness import MergeHarness

LEGACY: Final = """
INSERT INTO customers (customer_id, name) SELECT n, 'Customer ' || n FROM generate_series(1, 20) n;
INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at)
SELECT n, n, (n + 1) / 2, '2025-01-01' FROM generate_series(1, 40) n;
INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date, lines)
SELECT n, (n - 1) % 40 + 1, 150, 'KES', date '2025-01-31' + n,
       '[{"type": "WATER", "amount": "100.00"}, {"type": "BALANCE", "amount": "50.00"}]'
FROM generate_series(1, 120) n;
INSERT INTO payments (payment_id, meter_id, customer_id, invoice_id, amount, currency, paid_at)
SELECT n, CASE WHEN n % 3 = 0 THEN (n - 1) % 40 + 1 END, CASE WHEN n % 3 = 1 THEN (n - 1) % 20 + 1 END,
       CASE WHEN n % 3 = 2 THEN n END, 60, 'KES', '2025-06-01'
FROM generate_series(1, 120) n;
-- what the nightly command had left: stale, and one customer that nothing accounts for
INSERT INTO meter_balances (meter_id, customer_id, total_billed)
SELECT n, (n + 1) / 2, 150 FROM generate_series(1, 39) n;
INSERT INTO customer_balances (customer_id, balance, active_meters) SELECT n, 300, 2 FROM generate_series(1, 21) n;
"""
LOST: Final = "INSERT INTO payments (payment_id, amount, currency, paid_at) VALUES (500, 5, 'KES', '2025-06-01')"
Backfill = Callable[..., Result]


@pytest.fixture
def backfill(run_command: RunCommand, environment: dict[str, str]) -> Backfill:
    return lambda *arguments: run_command("backfill", *arguments, env=environment)


@pytest.fixture
def legacy(harness: MergeHarness) -> Connection[Any]:
    harness.connection.execute(LEGACY)
    return harness.connection


@pytest.mark.usefixtures("legacy")
def test_a_migration_ends_in_proven_balances_and_does_nothing_twice(
    backfill: Backfill, drift: Drift, contents: Contents
) -> None:
    result = backfill("migrate", "--yes")
    assert result.exit_code == 0, result.stdout
    headers = [line for line in result.stdout.split("\n") if line.startswith("Step ") and " took " not in line]
    assert headers == [
        "Step 1 of 6: payment-meter-ids", "Step 2 of 6: invoice-amounts", "Step 3 of 6: validate --check payments",
        "Step 4 of 6: meter-balances", "Step 5 of 6: customer-balances", "Step 6 of 6: validate",
    ]  # fmt: skip
    for title in ("Recalculation Results", "Significant Changes Detected (> KES 100)", "Validation Summary"):
        assert title in result.stdout
    assert "Next: `backfill drift-check`" in result.stdout
    listed = json.loads(backfill("runs", "--format", "json").stdout)
    assert [(run["command"], run["part_of"]) for run in reversed(listed)] == [
        ("migrate", None), ("payment-meter-ids", "migrate"), ("invoice-amounts", "migrate"),
        ("meter-balances", "migrate"), ("customer-balances", "migrate"), ("drift-check", "migrate"),
    ]  # fmt: skip
    assert not drift()
    after = contents()
    again = backfill("migrate", "--yes", "--format", "json")
    steps = json.loads(again.stdout)["steps"]
    assert [steps[0]["changed"], steps[1]["changed"], steps[3]["drifted"], steps[4]["drifted"]] == [0, 0, 0, 0]
    assert contents() == after


@pytest.mark.usefixtures("legacy")
def test_a_dry_run_goes_through_all_steps_and_changes_nothing(backfill: Backfill, contents: Contents) -> None:
    before = contents()
    result = backfill("migrate", "--dry-run")
    assert result.exit_code == 0, result.stdout
    assert contents() == before
    assert "Step 6 of 6: validate" in result.stdout
    assert "Backup:" not in result.stdout
    lines = [line for line in result.stdout.split("\n") if line]
    banner = "DRY RUN: nothing is changed. To apply: backfill migrate"
    assert (lines[1], lines[-1]) == (banner, banner)


def test_it_stops_where_payments_are_left_without_a_meter(
    legacy: Connection[Any], backfill: Backfill, engine: Engine
) -> None:
    legacy.execute(LOST)
    stopped = backfill("migrate", "--yes")
    assert stopped.exit_code == 1
    assert "Stopped: payments are left without a meter" in stopped.stdout
    assert "Step 4 of 6" not in stopped.stdout
    assert _backups(engine) == 0
    document = json.loads(backfill("migrate", "--yes", "--format", "json").stdout)
    assert (document["stopped_after"], document["exit_code"]) == ("validate --check payments", 1)
    skipped = backfill("migrate", "--yes", "--skip-validation")
    assert "Step 6 of 6" in skipped.stdout
    assert skipped.exit_code == 1, "the last validation finds it still"
    assert _backups(engine) == 1


@pytest.mark.usefixtures("legacy")
def test_a_restore_puts_back_what_step_four_found(backfill: Backfill, engine: Engine, drift: Drift) -> None:
    for step in ("payment-meter-ids", "invoice-amounts"):
        assert backfill(step).exit_code == 0
    with engine.begin() as connection:
        connection.execute(text("UPDATE meter_balances SET total_billed = 7, customer_id = 3 WHERE meter_id = 5"))
        connection.execute(text("DELETE FROM meter_balances WHERE meter_id = 6"))
    before = _balances(engine)
    document = json.loads(backfill("migrate", "--yes", "--format", "json").stdout)
    migrated = _balances(engine)
    assert migrated != before
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO meter_balances (meter_id, total_paid) VALUES (999, 5)"))
    dry = backfill("restore", document["run_id"], "--dry-run")
    assert "would be restored" in dry.stdout
    restored = backfill("restore", document["run_id"], "--yes")
    assert restored.exit_code == 0, restored.stderr
    assert "A drift check will report" in restored.stdout
    assert _balances(engine) == before
    assert drift()
    assert backfill("rebuild").exit_code == 0
    assert _balances(engine) == migrated
    assert not drift()


@pytest.mark.usefixtures("legacy")
@pytest.mark.parametrize("command", ["meter-balances", "customer-balances"])
def test_a_recalculation_repairs_reports_and_then_finds_nothing(
    backfill: Backfill, drift: Drift, contents: Contents, command: str
) -> None:
    before = contents()
    dry = backfill(command, "--dry-run")
    assert dry.exit_code == 0, dry.stderr
    assert contents() == before
    assert dry.stdout.count(f"DRY RUN: nothing is changed. To apply: backfill {command}\n") == 2
    done = backfill(command)
    assert done.exit_code == 0, done.stdout
    assert "Customers Processed" in done.stdout
    assert json.loads(backfill(command, "--format", "json").stdout)["drifted"] == 0
    assert not drift(), "every meter of this history has a customer"


def test_customer_balances_leave_meters_without_customer_to_meter_balances(
    legacy: Connection[Any], backfill: Backfill, drift: Drift
) -> None:
    legacy.execute("UPDATE meter_assignments SET active = false, unassigned_at = '2025-07-01' WHERE meter_id = 40")
    assert backfill("customer-balances").exit_code == 0
    assert {finding[1] for finding in drift()} == {40}
    assert backfill("meter-balances").exit_code == 0
    assert not drift()


def test_without_customers_a_recalculation_says_so(backfill: Backfill) -> None:
    result = backfill("customer-balances")
    assert "No customers with meter assignments found." in result.stdout
    assert result.exit_code == 0


def test_nobody_to_ask_and_wrong_runs_are_one_line(backfill: Backfill) -> None:
    unknown = "01a205b7-b83d-7fd4-8a20-b6d0bb1d2d40"
    for arguments, words in {
        ("migrate",): "give --yes",
        ("restore", "nonsense"): "not a run's id",
        ("restore", unknown): "there is no such run",
        ("explain", "--meter", "99"): "--meter 99: no invoice",
        ("explain", "--meter", "1", "--at", "tomorrow"): "--at tomorrow: not a day",
        ("validate", "--check", "nope"): "--check nope: there is no such check",
        ("meter-balances", "--significant", "much"): "--significant much: not an amount",
        ("customer-balances", "--resume", unknown): "there is no such run",
    }.items():
        result = backfill(*arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result
        assert words in result.stderr


def test_a_run_without_a_backup_is_told(backfill: Backfill) -> None:
    document = json.loads(backfill("invoice-amounts", "--format", "json").stdout)
    result = backfill("restore", document["run_id"], "--yes")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "made no backup" in result.stderr


def _backups(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM backups")).scalar_one())


def _balances(engine: Engine) -> list[list[Any]]:
    """Read both tables without rows that say nothing: those that are zeros under no customer."""
    statements = (
        "SELECT to_jsonb(m) - 'updated_at' FROM meter_balances m WHERE customer_id IS NOT NULL ORDER BY 1",
        "SELECT to_jsonb(c) - 'updated_at' FROM customer_balances c WHERE active_meters <> 0 ORDER BY 1",
    )
    with engine.connect() as connection:
        return [list(connection.execute(text(statement)).scalars()) for statement in statements]
