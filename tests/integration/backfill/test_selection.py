"""A run that is limited compares what was asked for, all of it, and proves nothing of the rest."""

import json
from typing import Any

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.runs.selection import Selection
from projector.status import status
from tests.conftest import RunCommand


@pytest.fixture
def damaged(database: Connection[Any]) -> Connection[Any]:
    """One thing wrong with each meter; 1 and 2 are customer 1's, 3 and 4 customer 2's, and so on, 11 is nobody's."""
    database.execute("UPDATE meter_balances SET payment_count = payment_count + 1, updated_at = '2026-01-01'")
    database.execute("UPDATE customer_balances SET updated_at = '2026-01-01'")
    return database


@pytest.mark.parametrize(
    ("options", "meters", "customers"),
    [
        (("--customer", "2"), [3, 4], 1),
        (("--customer", "2", "--customer", "5"), [3, 4, 9, 10], 2),
        (("--meter", "7"), [7, 8], 1),
        (("--meter", "11"), [11], 0),
        (("--meter", "11", "--customer", "1"), [1, 2, 11], 1),
        (("--sample", "100%"), list(range(1, 12)), 6),
        ((), list(range(1, 12)), 6),
    ],
)
@pytest.mark.usefixtures("damaged")
def test_only_what_was_asked_for_is_compared_and_repaired(
    environment: dict[str, str],
    run_command: RunCommand,
    options: tuple[str, ...],
    meters: list[int],
    customers: int,
) -> None:
    for command, exit_code in (("drift-check", 1), ("rebuild", 0), ("drift-check", 0)):
        done = run_command("backfill", command, *options, "--format", "json", env=environment)
        report = json.loads(done.stdout)
        assert done.exit_code == (exit_code if meters else 0), done.stderr
        assert (report["customers"], report["meters"]) == (customers, len(meters))
        found = {each["entity_id"] for each in report["findings"] if each["entity"] == "meter"}
        assert sorted(found) == (meters if (command, exit_code) != ("drift-check", 0) else [])
    everything = run_command("backfill", "drift-check", "--format", "json", env=environment)
    left = {each["entity_id"] for each in json.loads(everything.stdout)["findings"]}
    assert left == set(range(1, 12)) - set(meters)


def test_a_meter_that_changed_hands_takes_both_customers_in(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    database.execute("UPDATE meter_assignments SET customer_id = 5 WHERE assignment_id = 101")
    assert run_command("backfill", "rebuild", "--meter", "1", env=environment).exit_code == 0
    assert run_command("backfill", "drift-check", env=environment).exit_code == 0


def test_since_takes_what_the_stream_touched_whoever_it_belongs_to(
    damaged: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    damaged.execute("UPDATE meter_balances SET updated_at = now() WHERE meter_id IN (5, 11)")
    damaged.execute("UPDATE customer_balances SET updated_at = now() WHERE customer_id = 1")
    for since in ("1h", "2026-06-01T00:00+03:00"):
        done = run_command("backfill", "drift-check", "--since", since, "--format", "json", env=environment)
        found = {each["entity_id"] for each in json.loads(done.stdout)["findings"]}
        assert found == {1, 2, 5, 6, 11}


def test_a_sample_is_the_same_each_time_and_about_as_large_as_asked(
    connect: Any,  # noqa: ANN401 - a fixture
    environment: dict[str, str],
    run_command: RunCommand,
) -> None:
    connect().execute("INSERT INTO customer_balances (customer_id) SELECT 10 * n FROM generate_series(1, 4000) n")
    counts = []
    for share in ("5%", "5%", "50%"):
        done = run_command("backfill", "drift-check", "--sample", share, "--format", "json", env=environment)
        assert done.exit_code == 0, done.stderr
        counts.append(json.loads(done.stdout)["customers"])
    assert counts[0] == counts[1]
    assert 140 < counts[0] < 260
    assert 1800 < counts[2] < 2200


@pytest.mark.usefixtures("damaged")
def test_a_limited_check_is_told_as_such_and_is_no_whole_one(
    engine: Engine, environment: dict[str, str], run_command: RunCommand
) -> None:
    check = run_command("backfill", "drift-check", "--customer", "2", env=environment)
    assert "`backfill rebuild --customer 2` repairs them." in check.stdout.splitlines()[0]
    assert "1 customer and 2 meters compared with history, limited to customer 2 (" in check.stdout
    dry = run_command("backfill", "rebuild", "--dry-run", "--meter", "11", env=environment)
    assert dry.stdout.count("DRY RUN: nothing is changed. To apply: backfill rebuild --meter 11\n") == 2
    header, *rows = [
        line
        for line in run_command("backfill", "runs", env=environment).stdout.splitlines()
        if "│" in line or "┃" in line
    ]
    place = [cell.strip() for cell in header.split("┃")].index("Limited To")
    assert [row.split("│")[place].strip() for row in rows if "drift-check" in row] == ["customer 2"]
    listed = json.loads(run_command("backfill", "runs", "--format", "json", env=environment).stdout)
    assert [run["selection"] for run in reversed(listed)] == [{"customers": [2]}, {"meters": [11]}]
    with engine.connect() as connection:
        for statement in ("last_check", "last_verified"):
            values = {"group_id": "projector"}
            assert connection.exec_driver_sql(status.STATUS[statement], values).fetchall() == []


def test_what_cannot_be_limited_to_is_one_line(environment: dict[str, str], run_command: RunCommand) -> None:
    unknown = "01a205b7-b83d-7fd4-8a20-b6d0bb1d2d40"
    for options, words in {
        ("--customer", "0"): "--customer 0: not an id",
        ("--meter", "9223372036854775808"): "not an id; ids are 1 to 9223372036854775807",
        ("--sample", "0%"): "--sample 0%: not a share such as 0.05 or 5%",
        ("--sample", "101%"): "not a share",
        ("--sample", "5"): "not a share",
        ("--since", "yesterday"): "--since yesterday: not a point in time",
        ("--since", "2026-01-01"): "not a point in time such as 24h (ago) or 2026-01-31T08:00+03:00",
        ("--resume", unknown, "--customer", "1"): "were set when it began",
        ("--resume", unknown, "--chunk-size", "1"): "were set when it began",
        ("--cover-within", "24h", "--sample", "5%"): "--cover-within covers everything",
    }.items():
        done = run_command("backfill", "drift-check", *options, env=environment)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
        assert words in done.stderr


def test_a_selection_comes_back_from_the_database_as_it_went_in() -> None:
    for given in (
        Selection(),
        Selection(customers=(1, 2), meters=(3,)),
        Selection(sample=0.05),
    ):
        again = Selection.of(json.loads(json.dumps(given.options)))
        assert again == given
        assert again.arguments == given.arguments
        assert again.whole == given.whole


def test_a_customer_is_repaired_with_a_meter_that_is_shown_under_it_and_is_somebody_elses(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    database.execute("UPDATE meter_balances SET customer_id = 1 WHERE meter_id = 3")
    database.execute("UPDATE customer_balances SET balance = 0, active_meters = 0 WHERE customer_id = 1")
    rebuilt = run_command("backfill", "rebuild", "--customer", "1", env=environment)
    assert rebuilt.exit_code == 0, rebuilt.stderr
    assert run_command("backfill", "drift-check", env=environment).exit_code == 0


@pytest.mark.usefixtures("database")
def test_a_name_that_nobody_has_is_no_clean_check(environment: dict[str, str], run_command: RunCommand) -> None:
    done = run_command("backfill", "drift-check", "--meter", "999", env=environment)
    assert (done.exit_code, done.stdout[:35]) == (2, "Nothing was compared: the database ")
