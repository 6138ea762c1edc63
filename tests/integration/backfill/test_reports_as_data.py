"""A run's report as a document, as rows for a spreadsheet and as Parquet, on standard output or in a file."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from psycopg import Connection

from tests.conftest import Result, RunCommand

FORMULA = '=HYPERLINK("evil")'


@pytest.fixture
def damaged(database: Connection[Any]) -> Connection[Any]:
    database.execute("UPDATE customer_balances SET balance = balance + 5250 WHERE customer_id <= 4")
    database.execute("UPDATE meter_balances SET last_payment_at = NULL WHERE meter_id = 2")
    database.execute("UPDATE customers SET name = %s WHERE customer_id = 1", [FORMULA])
    return database


@pytest.mark.usefixtures("damaged")
def test_the_forms_agree_on_every_finding(environment: dict[str, str], run_command: RunCommand, tmp_path: Path) -> None:
    check = run_command("backfill", "drift-check", "--format", "json", env=environment)
    document = json.loads(check.stdout)
    findings = document["findings"]
    assert len(findings) == 5

    def shown(form: str, *options: str) -> Result:
        done = run_command("backfill", "runs", "show", document["run_id"], "--format", form, *options, env=environment)
        assert done.exit_code == 0, done.stderr
        return done

    assert json.loads(shown("json").stdout) == document
    rows = list(csv.DictReader(io.StringIO(shown("csv").stdout)))
    assert [_plain(row) for row in rows] == [_plain(finding) for finding in findings]
    assert {row["run_id"] for row in rows} == {document["run_id"]}

    file = tmp_path / "drift.parquet"
    said = shown("parquet", "--output", str(file)).stdout
    assert said.endswith(f"Report: {file}\n")
    table = pq.read_table(file).to_pylist()
    assert [_plain(row) for row in table] == [_plain(finding) for finding in findings]
    assert table[0]["difference"] == Decimal("-5250.00")
    assert str(pq.read_schema(file).field("difference").type) == "decimal128(38, 2)"


@pytest.mark.usefixtures("damaged")
def test_all_significant_changes_are_in_the_document(environment: dict[str, str], run_command: RunCommand) -> None:
    check = run_command("backfill", "drift-check", "--format", "json", env=environment)
    document = json.loads(check.stdout)
    changes = document["significant_changes"]
    assert len(changes) == document["significant_count"] == 4
    assert changes[0] | {"before": "", "after": ""} == {
        "customer_id": 1, "name": FORMULA, "type": "Balance", "before": "", "after": "", "difference": "-5250.00",
    }  # fmt: skip


@pytest.mark.usefixtures("damaged")
def test_text_that_a_spreadsheet_would_run_is_inert_and_numbers_stay_numbers(
    environment: dict[str, str], run_command: RunCommand
) -> None:
    done = run_command("backfill", "drift-check", "--format", "csv", env=environment)
    assert done.exit_code == 1, done.stderr
    row = next(row for row in csv.DictReader(io.StringIO(done.stdout)) if row["entity_id"] == "1")
    assert (row["name"], row["difference"]) == (f"'{FORMULA}", "-5250.00")


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("form", ["table", "json", "csv", "parquet"])
def test_a_file_appears_once_it_is_whole(
    environment: dict[str, str], run_command: RunCommand, tmp_path: Path, form: str
) -> None:
    file = tmp_path / "report"
    done = run_command("backfill", "drift-check", "--format", form, "--output", str(file), env=environment)
    assert done.exit_code == 1, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("Drift: 1 meter and 4 customers (by KES 21,000.00 in all) differ from history")
    assert file.stat().st_size > 100
    assert [path.name for path in tmp_path.iterdir()] == ["report"], "no draft is left"


def test_what_cannot_be_written_is_refused_before_a_run_begins(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand, tmp_path: Path
) -> None:
    for options, words in {
        ("--format", "parquet"): "give --output FILE",
        ("--output", str(tmp_path / "nowhere" / "report")): "No such file or directory",
        ("--output", str(tmp_path / "report"), "--every", "1s"): "--output applies to a single run",
    }.items():
        done = run_command("backfill", "drift-check", *options, env=environment)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
        assert words in done.stderr
    assert database.execute("SELECT count(*) FROM backfill_runs").fetchone() == (0,)


def _plain(row: dict[str, Any]) -> dict[str, str]:
    """Write a finding's cells alike, whichever form they come from."""
    kept = {name: value for name, value in row.items() if name not in {"run_id", "found_at", "repaired_at"}}
    return {name: _text(value) for name, value in kept.items()}


def _text(value: Any) -> str:  # noqa: ANN401 - a cell of any form
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value) if isinstance(value, Decimal | int) else json.dumps(value)
    return text.removeprefix("'") if text.startswith("'=") else text


@pytest.mark.usefixtures("database")
def test_a_report_in_a_file_is_its_owners_alone(
    environment: dict[str, str], run_command: RunCommand, tmp_path: Path
) -> None:
    """It holds names; also where it replaces a file that everybody might read."""
    file = tmp_path / "report.json"
    file.touch(0o666)
    file.chmod(0o666)
    done = run_command("backfill", "drift-check", "--format", "json", "--output", str(file), env=environment)
    assert done.exit_code == 0, done.stderr
    run_id = json.loads(file.read_text())["run_id"]
    parquet = tmp_path / "report.parquet"
    show = ("backfill", "runs", "show", run_id, "--format", "parquet", "--output", str(parquet))
    assert run_command(*show, env=environment).exit_code == 0
    assert [each.stat().st_mode & 0o777 for each in (file, parquet)] == [0o600, 0o600]
