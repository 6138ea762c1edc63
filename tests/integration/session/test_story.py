"""The whole story, as a role, in a database and an environment whose every default is hostile, ends as it should."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection, sql
from sqlalchemy import make_url

from events.runtime.settings import Settings
from projector.database.engines import make_engine
from tests.conftest import RunCommand, StartCommand
from tests.support import hostile_sessions
from tests.support.hostile_sessions import Hostile, hostile_role
from tests.support.recorded import disagreement
from tests.support.services import Services

Run = Callable[..., str]
SECONDS: Final = 120
TRAFFIC: Final = (
    "events",
    "simulate",
    "--customers",
    "40",
    "--voids",
    "10%",
    "--duplicates",
    "10%",
    "--shuffle",
    "0.5",
)
OF_DATABASE: Final = {"default_transaction_isolation": "repeatable read", "array_nulls": "off"}
OF_ROLE_IN_DATABASE: Final = {"statement_timeout": "1", "default_transaction_read_only": "on", "bytea_output": "escape"}
DAMAGE: Final = """
UPDATE billing.meter_balances SET total_billed = total_billed + 7, last_payment_at = NULL WHERE meter_id % 5 = 1;
UPDATE billing.customer_balances SET balance = balance + 3 WHERE customer_id % 7 = 1;
"""
FORGOTTEN: Final = """
INSERT INTO billing.dead_letters (topic, partition, source_offset, timestamp_ms, reason, detail, value, headers)
VALUES (%s, 0, 9000, 0, 'not-json', 'by hand', %s, %s)
"""


@pytest.fixture
def role(services: Services) -> Iterator[Hostile]:
    with hostile_role(services.database_url) as made:
        yield made


@pytest.fixture
def hostile(kafka_settings: Settings, services: Services, role: Hostile) -> Iterator[dict[str, str]]:
    """Give the environment of programs that work as the owner of an empty database, whose defaults are hostile too."""
    name = f"{role.name}_db"
    address = make_url(services.database_url).set(database=name).render_as_string(hide_password=False)
    of = {"ROLE {role} IN DATABASE {name}": OF_ROLE_IN_DATABASE, "DATABASE {name}": OF_DATABASE}
    names = {"role": sql.Identifier(role.name), "name": sql.Identifier(name)}
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {name} OWNER {role}").format(**names))
        for what, values in of.items():
            for setting, value in values.items():
                hostile_sessions.set_default(connection, sql.SQL(what).format(**names), setting, value)
        given = {
            **os.environ,
            "PROJECTOR_DATABASE_URL": address,
            "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": kafka_settings.kafka_bootstrap_servers,
            "PROJECTOR_GROUP_ID": kafka_settings.group_id,
            "PROJECTOR_TOPIC_PREFIX": kafka_settings.topic_prefix,
            "PROJECTOR_TOPIC_PARTITIONS": str(kafka_settings.topic_partitions),
        }
        yield hostile_sessions.environment(given, role)
        connection.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**names))


@pytest.fixture
def run(run_command: RunCommand, hostile: dict[str, str]) -> Run:
    """Run a program to its end in the hostile environment; return what it printed."""

    def to_end(*command: str, ends: int = 0) -> str:
        done = run_command(*command, env=hostile)
        assert done.exit_code == ends, f"{command} ended with {done}"
        return done.stdout

    return to_end


def test_the_whole_story_under_hostile_defaults(
    hostile: dict[str, str],
    run: Run,
    start_command: StartCommand,
    tmp_path: Path,
    services: Services,
) -> None:
    run("projector", "init", "--roles")
    lines = [line for line in run(*TRAFFIC).splitlines() if _counts_by_itself(line)]
    (tmp_path / "lines").write_text("\n".join(lines) + "\n")
    run("events", "publish", "lines")
    for started in [start_command("projector", "run", "--until-caught-up", env=hostile) for _ in range(2)]:  # they race
        assert started.process.wait(SECONDS) == 0, started.stderr.read_text()
    admin = make_url(hostile["PROJECTOR_DATABASE_URL"])
    owner = make_url(services.database_url).set(database=admin.database).render_as_string(hide_password=False)
    with psycopg.connect(owner, autocommit=True) as connection:
        _agree(hostile, lines)
        run("backfill", "drift-check")
        connection.execute(DAMAGE)
        run("backfill", "drift-check", "--workers", "2", "--chunk-size", "9", ends=1)
        run("backfill", "rebuild", "--workers", "2", "--chunk-size", "9")
        _agree(hostile, lines)
        _steps(run)
        _forget(connection, f"{hostile['PROJECTOR_TOPIC_PREFIX']}.invoices", lines)
    run("projector", "dead-letters", "list")
    run("projector", "dead-letters", "show", "1")
    run("projector", "dead-letters", "retry", "--all")
    run("projector", "status")
    run("projector", "positions", "show")
    run("backfill", "drift-check", "--format", "json")
    _agree(hostile, lines)


def _counts_by_itself(line: str) -> bool:
    """Leave out payments that a migration step would allocate: the oracle knows no steps."""
    return '"payment_id"' not in line or '"meter_id"' in line or '"invoice_id"' in line


def _steps(run: Run) -> None:
    run("backfill", "payment-meter-ids", "--dry-run")
    run("backfill", "invoice-amounts", "--dry-run")
    run("backfill", "validate")
    run("backfill", "meter-balances")
    run("backfill", "customer-balances")
    migrated = run("backfill", "migrate", "--yes")
    [run_id] = [words[1] for words in map(str.split, migrated.splitlines()) if words[:1] == ["Migration"] and words[1:]]
    run("backfill", "restore", run_id, "--yes")
    run("backfill", "explain", "--meter", "1")
    run("backfill", "runs")


def _forget(connection: Connection[Any], topic: str, lines: Sequence[str]) -> None:
    """Leave a dead letter that is sound, and has an amount of its own: the first invoice."""
    invoice = next(line for line in lines if '"billing.invoice.' in line)
    headers = '[["content-type", "6170706c69636174696f6e2f636c6f75646576656e74732b6a736f6e"]]'
    connection.execute(FORGOTTEN, (topic, invoice.encode(), headers))


def _agree(hostile: dict[str, str], lines: Sequence[str]) -> None:
    """See that the tables say what the oracle says, as the hostile role reads them."""
    settings = Settings(_env_file=None, database_url=hostile["PROJECTOR_DATABASE_URL"])
    engine = make_engine(settings, program="tests")
    with engine.connect() as connection:
        wrong = disagreement(lines, connection)
    engine.dispose()
    assert not wrong, wrong
