"""What a user types and sees."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from events.contract.schema import schemas
from events.simulate.options import Options
from events.simulate.traffic import simulate
from tests.conftest import RunCommand
from tests.support.programs import Programs

SMALL = ("--customers", "3", "--months", "2", "--seed", "7")


@pytest.mark.parametrize("command", [(), ("publish",), ("simulate",), ("schema",)])
def test_every_command_explains_itself(run_command: RunCommand, command: tuple[str, ...]) -> None:
    done = run_command("events", *command, "--help", env=os.environ)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Usage: events" in done.stdout


def test_simulate_prints_lines(run_command: RunCommand) -> None:
    done = run_command("events", "simulate", *SMALL, "--voids", "10%", "--shuffle", "0.5", env=os.environ)
    options = Options(customers=3, meters=6, months=2, seed=7, voids=0.1, shuffle=0.5)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.encode() == b"".join(line + b"\n" for line in simulate(options))


def test_simulate_writes_the_deployments_currency(run_command: RunCommand) -> None:
    done = run_command("events", "simulate", *SMALL, env={**os.environ, "PROJECTOR_CURRENCY": "UGX"})
    assert '"currency":"UGX"' in done.stdout
    assert "KES" not in done.stdout


@pytest.mark.parametrize(
    "option",
    [
        ("--voids", "2"),
        ("--poison", "-1%"),
        ("--shuffle", "some"),
        ("--start", "soon"),
        ("--start", "9999-12-01"),
        ("--meters", "0"),
        ("--voids", "nan"),
    ],
)
def test_a_wrong_option_is_named(run_command: RunCommand, option: tuple[str, str]) -> None:
    done = run_command("events", "simulate", *option, env=os.environ)
    assert (done.exit_code, done.stdout) == (2, "")
    assert option[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_schema_of_all_types_and_of_one(run_command: RunCommand) -> None:
    every = run_command("events", "schema", "--format", "json", env=os.environ)
    assert json.loads(every.stdout) == schemas()
    one = run_command("events", "schema", "billing.invoice.issued", env=os.environ)
    assert json.loads(one.stdout) == schemas()["billing.invoice.issued"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("schema", "billing.rumour"), "billing.rumour is none of the event types"),
        (("publish", "missing.jsonl"), "missing.jsonl: No such file or directory"),
        (("publish", "-"), "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS is not set"),
        (("publsh",), "No such command 'publsh'. Did you mean 'publish'? `events --help` shows what it takes\n"),
    ],
)
def test_a_failure_is_one_line(run_command: RunCommand, arguments: tuple[str, ...], said: str) -> None:
    done = run_command("events", *arguments, env=os.environ)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"events: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--customers", "0"), "Invalid value for '--customers': Input should be greater than or equal to 1"),
        (("--custmers", "1"), "No such option: --custmers (Possible options: --customers, --meters)"),
        (("--customers",), "Option '--customers' requires an argument"),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_the_help_page(
    run_command: RunCommand, arguments: tuple[str, ...], said: str
) -> None:
    done = run_command("events", "simulate", *arguments, env=os.environ)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"events simulate: {said}; `events simulate --help` shows what it takes\n"


def test_a_program_without_a_command_prints_its_help_page(run_command: RunCommand) -> None:
    done = run_command("events", env=os.environ)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: events [OPTIONS] COMMAND [ARGS]...\n")


def test_a_help_page_names_values_and_bounds_as_people_do(run_command: RunCommand) -> None:
    page = run_command("events", "simulate", "--help", env={**os.environ, "COLUMNS": "120"}).stdout
    for line in (
        "--seed N               the same seed",
        "--months N             number of months billed [default: 3; 1 to 1200]",
        "--events N             stop after so many events; default: no limit [at least 0]",
    ):
        assert line in page


@pytest.mark.parametrize("command", ["simulate --customers 3 --months 2", "simulate --customers 300", "schema"])
def test_output_that_cannot_be_written_is_one_line(programs: Programs, tmp_path: Path, command: str) -> None:
    errors = tmp_path / "errors"
    run = ["events", *command.split()]
    done = programs.start_in(tmp_path, *run, env=os.environ, stdout=Path("/dev/full"), stderr=errors)
    assert (done.process.wait(), errors.read_text()) == (2, "events: No space left on device\n")


@pytest.mark.parametrize("command", ["simulate --customers 3", "schema"])
def test_closed_streams_are_no_defect(command: str) -> None:
    shell = ["sh", "-c", 'exec "$@" <&- >&-', "sh", *_command(command)]
    done = subprocess.run(shell, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def _command(arguments: str) -> list[str]:
    return [str(Path(sys.executable).parent / "events"), *arguments.split()]


def test_a_file_of_settings_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe=1\n")
    done = subprocess.run(_command("simulate"), cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(b"events: .env cannot be read: ")
