"""Each program does all of its work as a user of its role, against a real broker."""

import json
from collections.abc import Callable
from typing import Final

import pytest

from events.contract.types import topic_of
from events.runtime import kafka
from events.runtime.settings import Settings
from tests.conftest import Result, RunCommand
from tests.integration.migration.test_migrate import LEGACY
from tests.integration.security.conftest import OWNER, Deployed
from tests.support.written_down import write_down

As = Callable[..., Result]
CONTRACT: Final = (
    "meter_balances", "customer_balances", "invoices", "payments", "meter_assignments", "customers", "positions",
    "backfill_runs", "drift",
)  # fmt: skip


@pytest.fixture
def as_(deployed: Deployed, kafka_settings: Settings, kafka_environment: dict[str, str], run_command: RunCommand) -> As:
    """Run a program as a user of a role, and expect how it ends."""
    assert kafka_settings.database_url == deployed.settings.database_url
    write_down(deployed.settings, kafka.admin(kafka_settings))

    def run(role: str, *command: str, expect: int = 0, stdin: str = "") -> Result:
        result = run_command(*command, env=deployed.environment(role, kafka_environment), stdin=stdin)
        assert result.exit_code == expect, (command, result.stdout[-2000:], result.stderr[-2000:])
        assert "Traceback" not in result.stderr
        return result

    return run


def test_the_projector_consumes_and_looks_after_what_was_refused(as_: As, kafka_settings: Settings) -> None:
    lines = as_("projector", "events", "simulate", "--customers", "20", "--poison", "5%", "--shuffle", "0.3").stdout
    as_("projector", "events", "simulate", "--customers", "20", "--poison", "5%", "--voids", "0.2", "--publish")
    applied = json.loads(as_("projector", "projector", "run", "--until-caught-up", "--format", "json").stdout)
    assert applied["applied"] > len(lines.split("\n")) / 2
    assert applied["refused"]
    listed = json.loads(as_("projector", "projector", "dead-letters", "list", "--format", "json").stdout)
    ids = [str(letter["dead_letter_id"]) for letter in listed["dead_letters"]]
    as_("projector", "projector", "dead-letters", "show", ids[0])
    as_("projector", "projector", "dead-letters", "discard", ids[0], "--why", "never ours")
    as_("projector", "projector", "dead-letters", "retry", "--all", expect=1)
    as_("projector", "projector", "positions", "show")
    as_(
        "projector",
        "projector",
        "positions",
        "set",
        topic_of("invoices", kafka_settings.topic_prefix),
        "all",
        "earliest",
        "--yes",
    )
    as_("projector", "projector", "run", "--until-caught-up")
    as_("projector", "projector", "status")


def test_backfill_checks_repairs_and_migrates(as_: As, deployed: Deployed) -> None:
    _do(deployed, LEGACY)
    as_("backfill", "backfill", "drift-check", "--alert", "stdout:", expect=1)
    as_("backfill", "backfill", "payment-meter-ids")
    as_("backfill", "backfill", "invoice-amounts")
    _do(deployed, "UPDATE invoices SET amount = 150; UPDATE payments SET allocated_meter_id = NULL")
    migrated = json.loads(as_("backfill", "backfill", "migrate", "--yes", "--format", "json").stdout)
    assert migrated["state"] == "finished"
    assert migrated["backup"]
    as_("backfill", "backfill", "drift-check")
    as_("backfill", "backfill", "restore", migrated["run_id"], "--yes")
    as_("backfill", "backfill", "rebuild", "--workers", "2")
    for step in ("meter-balances", "customer-balances", "validate", "runs"):
        as_("backfill", "backfill", step)
    for whose in ("--meter", "--customer"):
        as_("backfill", "backfill", "explain", whose, "1")
    for form in ("table", "json"):
        as_("backfill", "projector", "status", "--format", form)


def test_the_reader_reads_the_contracts_tables_the_status_and_reports(as_: As, deployed: Deployed) -> None:
    as_("backfill", "backfill", "drift-check")
    with deployed.connected("reader") as connection:
        for table in CONTRACT:
            connection.execute(f"SELECT * FROM {table}".encode())
        [(run_id,)] = connection.execute("SELECT run_id FROM backfill_runs")
    for form in ("table", "json"):
        as_("reader", "projector", "status", "--format", form)
    assert "there is no balance of this meter" in as_("reader", "projector", "status", "--meter", "1", expect=2).stderr
    assert "projector_verified_through_timestamp_seconds" in as_("reader", "projector", "metrics").stdout
    as_("reader", "backfill", "runs")
    assert "There was nothing to compare." in as_("reader", "backfill", "runs", "show", str(run_id)).stdout


def test_a_program_under_the_wrong_role_says_so_in_one_line(as_: As) -> None:
    for role, command in (("reader", "backfill drift-check"), ("projector", "backfill drift-check")):
        refused = as_(role, *command.split(), expect=2)
        assert refused.stderr.count("\n") == 1
        assert "permission denied" in refused.stderr
    refused = as_("backfill", "projector", "init", expect=2)
    assert refused.stderr.count("\n") == 1
    assert "permission denied" in refused.stderr


def test_init_creates_the_roles_and_says_how_to_use_them(as_: As, deployed: Deployed) -> None:
    result = as_(OWNER, "projector", "init", "--roles")
    names = [deployed.group(role) for role in ("projector", "backfill", "reader")]
    assert f"roles: {', '.join(names)}" in result.stdout
    assert f'CREATE ROLE name LOGIN IN ROLE "{names[0]}"' in result.stdout
    assert max(map(result.stdout.count, ("REVOKE EXECUTE", "lo_create,"))) <= 1, "the functions are named in one line"
    document = json.loads(as_(OWNER, "projector", "init", "--format", "json").stdout)
    assert document["roles"] == names


def _do(deployed: Deployed, statements: str) -> None:
    with deployed.connected(OWNER) as connection:
        connection.execute(statements.encode())
