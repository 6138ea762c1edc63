"""No program tells a secret, however it fails: not in a line, not in a log, not in a report, not to the process list.

That whatever the suite's programs print is searched for secrets is `tests/conftest.py`'s; here they fail in every way.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import psutil
import pytest
from psycopg import sql
from sqlalchemy import Engine, make_url, text

from tests.conftest import Result, RunCommand, StartCommand, WaitUntil
from tests.integration.security.conftest import Deployed
from tests.support import secret_canaries
from tests.support.secret_canaries import MARK, secret

NOWHERE: Final = "127.0.0.1:1"  # no server listens on tcpmux
COMMANDS: Final = (
    "projector init", "projector init --roles", "projector run", "projector status", "projector status --meter 1",
    "projector positions show",
    "projector positions set x all earliest --yes", "projector dead-letters list", "projector dead-letters show 1",
    "projector dead-letters retry --all", "projector dead-letters discard 1 --why x", "backfill drift-check",
    "backfill rebuild", "backfill runs", "backfill validate", "backfill payment-meter-ids", "backfill invoice-amounts",
    "backfill meter-balances", "backfill customer-balances", "backfill migrate --yes",
    "backfill restore 00000000-0000-0000-0000-000000000000 --yes", "backfill explain --meter 1",
    "backfill explain --customer 1",
)  # fmt: skip
OF_KAFKA: Final = (
    "projector init",
    "projector run --until-caught-up",
    "projector status",
    "projector positions show",
    "events publish -",
)
BROKEN: Final = {
    "nobody listens": "postgresql://user:{}@127.0.0.1:1/billing",
    "no such host": "postgresql://user:{}@nowhere.invalid/billing",
    "an @ unescaped": "postgresql://user:x@{}@127.0.0.1:1/billing",
    "an @ and a / unescaped": "postgresql://user:1/2@{}@127.0.0.1:1/billing",
    "an @ and a ? unescaped": "postgresql://user:x@h?{}=1@127.0.0.1:1/billing",
    "an @ and an option": "postgresql://user:x@{}?port=1&user=y@127.0.0.1:1/billing",
    "an @ and a : unescaped": "postgresql://user:x@{}:y@127.0.0.1:1/billing",
    "a / unescaped": "postgresql://user:1/{}@127.0.0.1:1/billing",
    "a ? unescaped": "postgresql://user:1?{}=1@127.0.0.1:1/billing",
    "a # unescaped": "postgresql://user:1#{}@127.0.0.1:1/billing",
    "a port that is none": "postgresql://user:{}@127.0.0.1:x/billing",
    "a mode that is none": "postgresql://user:{}@127.0.0.1:1/billing?sslmode=none",
    "an option that is none": "postgresql://user:{}@127.0.0.1:1/billing?sslmod=require",
    "another scheme": "mysql://user:{}@127.0.0.1:1/billing",
    "no scheme": "user:{}@127.0.0.1:1/billing",
    "the password alone": "{}",
    "in its query": "postgresql://127.0.0.1:1/billing?user=user&password={}",
}
ALERTS: Final = {
    "nobody listens": "json://user:{}@127.0.0.1:1/{}",
    "a scheme that is none": "nope://user:{}@127.0.0.1",
    "no address": "{}",
    "mail": "mailto://user:{}@127.0.0.1:1?smtp=127.0.0.1&to=x@example.org&mode=insecure",
    "a token in the path": "slack://{}/B1AAAAAAA/AAAAAAAAAAAAAAAAAAAAAAAA",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_that_refuses_us(database_url: str, run_command: RunCommand, command: str) -> None:
    """The password is wrong, so the server says something of it; and the user's name is no secret."""
    url = make_url(database_url).set(password=secret()).render_as_string(hide_password=False)
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": url, "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": NOWHERE}
    _told_in_one_line(run_command(*command.split(), env=environment))


@pytest.mark.parametrize("what", BROKEN)
def test_an_address_that_is_no_good(run_command: RunCommand, what: str) -> None:
    """Mistyped, a password may stand where a host's or an option's name is looked for."""
    environment = {**os.environ, "PROJECTOR_DATABASE_URL": BROKEN[what].format(secret())}
    commands = ("projector status", "backfill drift-check")
    with ThreadPoolExecutor() as pool:
        for result in pool.map(lambda command: run_command(*command.split(), env=environment), commands):
            _told_in_one_line(result)


def test_a_broker_that_is_away(environment: dict[str, str], run_command: RunCommand) -> None:
    kafka = {
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_MECHANISM": "PLAIN",
        "SASL_USERNAME": "u",
        "SASL_PASSWORD": secret(),
    }
    own = {f"PROJECTOR_KAFKA__{name}": value for name, value in kafka.items()}
    away = {**environment, **own, "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": NOWHERE}
    with ThreadPoolExecutor() as pool:  # each waits out its probe's ten seconds
        results = pool.map(lambda command: run_command(*command.split(), env=away), OF_KAFKA)
        for command, result in zip(OF_KAFKA, results, strict=True):
            shown = command == "projector status"  # prints what PostgreSQL knows
            _told_in_one_line(result._replace(stdout="") if shown else result)


@pytest.mark.parametrize("name", ["SASL_PASSWORDD", "SSL_KEY_PEM", "SASL_JAAS_CONFIG", "A__B"])
def test_a_librdkafka_property_that_is_none(environment: dict[str, str], run_command: RunCommand, name: str) -> None:
    own = {f"PROJECTOR_KAFKA__{name}": secret(), "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": NOWHERE}
    keystore = {"PROJECTOR_KAFKA__SSL_KEYSTORE_PASSWORD": secret(), "PROJECTOR_KAFKA__SECURITY_PROTOCOL": "SSL"}
    result = run_command("projector", "init", env={**environment, **keystore, **own})
    assert result.exit_code == 2
    assert "PROJECTOR_KAFKA" in result.stderr


@pytest.mark.parametrize("what", ALERTS)
def test_an_alert_address(environment: dict[str, str], run_command: RunCommand, engine: Engine, what: str) -> None:
    """Neither in the log of what was not delivered, nor in the table that says whom an alert reached."""
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO customer_balances (customer_id, balance) VALUES (1, 5)"))
    planted_secret = secret()
    address = ALERTS[what].format(planted_secret, planted_secret)
    result = run_command("backfill", "drift-check", env={**environment, "PROJECTOR_ALERTS": address})
    assert result.exit_code in {1, 2}
    assert "PROJECTOR_ALERTS" in result.stderr or "not delivered" in result.stderr
    with engine.connect() as connection:
        kept = list(connection.execute(text("SELECT to_jsonb(t)::text FROM alerts t")).scalars())
    assert not secret_canaries.leaks(*kept)


def test_arguments_of_a_running_program_hold_none(
    kafka_environment: dict[str, str], start_command: StartCommand, wait_until: WaitUntil
) -> None:
    started = start_command("projector", "run", env=kafka_environment, as_installed=True)
    wait_until(lambda: "joined" in started.stderr.read_text(), what="the consumer to join")
    process = psutil.Process(started.process.pid)
    assert process.cmdline()[-1] == "run"
    for each in (process, *process.children(recursive=True)):
        assert not secret_canaries.leaks(" ".join(each.cmdline()), each.name())


def test_what_stands_in_the_database_of_programs_at_work_holds_none(
    deployed: Deployed, kafka_environment: dict[str, str], run_command: RunCommand
) -> None:
    """Reports, runs and findings are kept there for the reader."""
    environment = deployed.environment("backfill", kafka_environment)
    for command in ("drift-check", "rebuild", "validate", "runs"):
        assert run_command("backfill", command, "--format", "json", env=environment).exit_code == 0
    with deployed.connected("owner") as connection:
        for (table,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"):
            rows = connection.execute(sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.Identifier(table)))
            assert not secret_canaries.leaks(*(row for (row,) in rows)), table


def test_a_leak_would_be_found(run_command: RunCommand) -> None:
    """The search itself: a program that is made to print a secret fails its test."""
    with pytest.raises(AssertionError, match="printed a secret"):
        run_command("events", "schema", secret(), env=os.environ)
    assert secret_canaries.leaks(f"x%5A{MARK[1:]}") == [f"x%5A{MARK[1:]}"]


def _told_in_one_line(result: Result) -> None:
    assert result.exit_code == 2, result
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stdout == ""
