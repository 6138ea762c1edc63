"""What an operator types, reads and gets as exit code."""

import json
import signal
from typing import Any

from psycopg import Connection

from tests.conftest import RunCommand, StartCommand, WaitUntil

TITLES = tuple(
    f"\n{title}"
    for title in (
        "Recalculation Results",
        "Significant Changes Detected (> KES 100)",
        "Validation Summary",
        "Drift of ",
    )
)


def test_a_clean_check(database: Connection[Any], environment: dict[str, str], run_command: RunCommand) -> None:
    done = run_command("backfill", "drift-check", env=environment)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("No drift: every balance agrees with history.\n")
    assert [title in done.stdout for title in TITLES] == [True, False, True, False]
    for line in ("Customers Processed", "With Balance", "With Overpayment", "Clear (Zero Balance)"):
        assert line in done.stdout
    assert "Balances Changed" not in done.stdout, "what is zero is left out"
    assert "6 customers and 11 meters compared with history" in done.stdout.splitlines()[-1]
    assert "run ended" in done.stderr
    assert database.execute("SELECT state, command FROM backfill_runs").fetchall() == [("finished", "drift-check")]


def test_drift_is_shown_then_repaired(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    database.execute("UPDATE customer_balances SET balance = balance + 5250 WHERE customer_id = 1")
    database.execute("UPDATE customers SET name = 'Eve [red]\x1b[31m' WHERE customer_id = 1")
    check = run_command("backfill", "drift-check", env=environment)
    assert check.exit_code == 1, check.stderr
    assert all(title in check.stdout for title in TITLES)
    assert "-KES 5,250.00" in check.stdout
    assert "Eve [red]\\x1b[31m" in check.stdout
    assert "customer-sum-off" in check.stdout
    found = "Drift: 1 customer (by KES 5,250.00)"
    assert check.stdout.startswith(
        f"{found} differs from history; nothing was changed. `backfill rebuild` repairs it.\n"
    )

    for command in ("meter-balances", "customer-balances"):
        assert run_command("backfill", command, "--dry-run", env=environment).exit_code == 0
    dry = run_command("backfill", "rebuild", "--dry-run", env=environment)
    assert dry.exit_code == 0, dry.stderr
    assert dry.stdout.splitlines()[0].startswith("DRY RUN: nothing is changed.")
    assert dry.stdout.splitlines()[1].startswith(f"{found} differs from history; nothing was changed.")
    assert dry.stdout.splitlines()[-1].startswith("DRY RUN: nothing is changed. To apply: backfill rebuild")

    rebuild = run_command("backfill", "rebuild", env=environment)
    assert rebuild.exit_code == 0, rebuild.stderr
    assert rebuild.stdout.startswith(f"{found} differed from history; repaired and compared again.")
    assert run_command("backfill", "drift-check", env=environment).exit_code == 0


def test_the_report_as_data(database: Connection[Any], environment: dict[str, str], run_command: RunCommand) -> None:
    database.execute("UPDATE meter_balances SET total_billed = total_billed + 7 WHERE meter_id = 11")
    done = run_command("backfill", "drift-check", "--format", "json", "--significant", "0.5", env=environment)
    assert done.exit_code == 1, done.stderr
    report = json.loads(done.stdout)
    assert (report["command"], report["state"], report["customers"], report["drifted"]) == (
        "drift-check", "finished", 6, 1,
    )  # fmt: skip
    billed = next(each for each in report["findings"] if each["column"] == "total_billed")
    assert (billed["entity"], billed["entity_id"], billed["difference"]) == ("meter", 11, "-7.00")
    assert billed["cause"] == "projection-edited"
    listed = json.loads(run_command("backfill", "runs", "--format", "json", env=environment).stdout)
    assert [run["run_id"] for run in listed] == [report["run_id"]]
    assert report["run_id"] in run_command("backfill", "runs", env=environment).stdout


def test_more_than_a_table_holds_is_counted(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    database.execute("UPDATE meter_balances SET total_billed = 0, total_paid = 0, invoice_count = 0")
    done = run_command("backfill", "drift-check", env=environment)
    assert "more; --format json shows all" in done.stdout
    data = run_command("backfill", "drift-check", "--format", "json", env=environment).stdout
    assert len(json.loads(data)["findings"]) > 20


def test_no_customers(environment: dict[str, str], run_command: RunCommand) -> None:
    done = run_command("backfill", "rebuild", env=environment)
    assert (done.exit_code, "No customers with meter assignments found." in done.stdout) == (0, True)


def test_what_could_not_be_compared_is_no_clean_check(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON drift FOR EACH ROW EXECUTE FUNCTION refuse();"
        "UPDATE meter_balances SET total_billed = 0 WHERE meter_id = 1"
    )
    check = run_command("backfill", "drift-check", env=environment)
    assert check.exit_code == 2
    assert "Failed: customer 1: not today (P0001)" in check.stdout
    assert "No drift in what could be compared. 1 chunk failed." in check.stdout
    for options in ((), ("--dry-run",)):
        assert run_command("backfill", "rebuild", *options, env=environment).exit_code == 1


def test_what_cannot_start_ends_in_one_line(environment: dict[str, str], run_command: RunCommand) -> None:
    away = {**environment, "PROJECTOR_DATABASE_URL": "postgresql://someone:hush@127.0.0.1:1/none"}
    wrong = {**environment, "PROJECTOR_DATABASE_URL": "mysql://127.0.0.1/none"}
    missing = {**environment, "PROJECTOR_SCHEMA": "elsewhere"}
    typo = {**environment, "PROJECTOR_DATABSE_URL": "postgresql://127.0.0.1/none"}
    cases = [
        (away, (), "PostgreSQL at 127.0.0.1:1/none cannot be reached"),
        (wrong, (), "the scheme has to be postgresql://"),
        (missing, (), "schema elsewhere does not exist yet: run `projector init`"),
        (typo, (), "PROJECTOR_DATABSE_URL is not a setting"),
        (environment, ("--significant", "much"), "--significant much: not an amount"),
        (environment, ("--resume", "00000000-0000-0000-0000-000000000007"), "there is no such run"),
    ]
    for env, options, line in cases:
        for command in ("drift-check", "rebuild"):
            done = run_command("backfill", command, *options, env=env)
            assert (done.exit_code, done.stdout) == (2, ""), done
            assert line in done.stderr
            assert len(done.stderr.splitlines()) == 1, done.stderr
            assert "hush" not in done.stderr


def test_a_signal_pauses_and_says_how_to_go_on(
    database: Connection[Any],
    environment: dict[str, str],
    start_command: StartCommand,
    run_command: RunCommand,
    wait_until: WaitUntil,
) -> None:
    """The first chunk is held by a lock until the signal was sent; it is finished, and then the run pauses."""
    database.execute("BEGIN")
    database.execute("LOCK TABLE customer_balances IN ACCESS EXCLUSIVE MODE")
    started = start_command("backfill", "drift-check", "--chunk-size", "1", env=environment)
    wait_until(lambda: _waiting(database), what="the check for the table")
    started.process.send_signal(signal.SIGTERM)
    database.execute("COMMIT")
    assert started.process.wait(120) == 3, started.stderr.read_text()
    (run_id, state) = database.execute("SELECT run_id, state FROM backfill_runs").fetchone() or (None, None)
    assert state == "paused"
    assert f"Paused; resume with `backfill drift-check --resume {run_id}`." in started.stdout.read_text()
    done = run_command("backfill", "drift-check", "--resume", str(run_id), env=environment)
    assert done.exit_code == 0, done.stderr
    assert "6 customers and 11 meters" in done.stdout


def _waiting(database: Connection[Any]) -> bool:
    locks = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted"
    return database.execute(f"{locks} AND a.datname = current_database()").fetchone() != (0,)
