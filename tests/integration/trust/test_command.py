"""`projector status --meter` and `--customer`: what is known of one figure, and what to type next."""

import json
from collections.abc import Callable
from typing import Any, Final, Protocol

import pytest
from psycopg import Connection

from backfill.runs.store import Run
from tests.conftest import Result, RunCommand
from tests.integration.trust.conftest import Compare

EDIT: Final = "UPDATE meter_balances SET total_billed = total_billed + 1000 WHERE meter_id = 3"
SUM_EDIT: Final = "UPDATE customer_balances SET balance = balance + 7 WHERE customer_id = 5"


class Status(Protocol):
    """Ask for one meter or customer, and return what is printed."""

    def __call__(self, *words: str, code: int = 0) -> Result: ...


@pytest.fixture
def status(environment: dict[str, str], run_command: RunCommand, database: Connection[Any]) -> Status:
    assert database
    without_kafka = environment | {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}

    def ask(*words: str, code: int = 0) -> Result:
        done = run_command("projector", "status", *words, env=without_kafka)
        assert done.exit_code == code, done
        return done

    return ask


def _document(status: Status, *words: str) -> dict[str, Any]:
    document = json.loads(status(*words, "--format", "json").stdout)
    assert status(*words, "--json").stdout.startswith('{"entity"')
    assert isinstance(document, dict)
    return document


def test_what_no_run_has_compared_says_how_to_compare_it(status: Status) -> None:
    shown = status("--meter", "3").stdout
    assert shown.startswith(
        "Meter 3: nothing is known to be wrong; `backfill drift-check --meter 3` compares it now.\nApplied: "
    )
    assert "Last compared: never\n" in shown
    document = _document(status, "--meter", "3")
    assert (document["last_compared"], document["changed_since"], document["open_findings"]) == (None, True, [])


def test_the_command_to_type_next_leads_to_a_figure_that_is_proven(
    status: Status, environment: dict[str, str], run_command: RunCommand
) -> None:
    for entity, number in (("meter", "3"), ("customer", "5")):
        words = _document(status, f"--{entity}", number)["next_command"].split()
        assert run_command(*words, env=environment).exit_code == 0
        document = _document(status, f"--{entity}", number)
        assert (document["entity"], document["id"]) == (entity, int(number))
        assert document["last_compared"]["command"] == "drift-check"
        assert (document["changed_since"], document["next_command"]) == (False, None)
        shown = status(f"--{entity}", number).stdout
        assert shown.startswith(f"{entity.capitalize()} {number}: nothing is known to be wrong, and it was compared as")
        assert f"by drift-check {document['last_compared']['run_id']}; not written since\n" in shown


def test_what_was_written_since_says_so(status: Status, database: Connection[Any], compare: Compare) -> None:
    run = compare()
    database.execute("UPDATE meter_balances SET updated_at = now() WHERE meter_id = 3")
    document = _document(status, "--meter", "3")
    assert (document["last_compared"]["run_id"], document["changed_since"]) == (str(run.run_id), True)
    assert document["next_command"] == "backfill drift-check --meter 3"
    assert f"by drift-check {run.run_id}; written since\n" in status("--meter", "3").stdout


@pytest.mark.parametrize(
    ("edit", "words", "cause", "amount"),
    [
        (EDIT, ("--meter", "3"), "projection-edited", "1000"),
        (SUM_EDIT, ("--customer", "5"), "customer-sum-off", "7"),
    ],
)
def test_an_open_finding_is_named_with_what_to_type(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    status: Status,
    database: Connection[Any],
    environment: dict[str, str],
    run_command: RunCommand,
    compare: Compare,
    edit: str,
    words: tuple[str, str],
    cause: str,
    amount: str,
) -> None:
    database.execute(edit.encode())
    run = compare()
    document = _document(status, *words)
    [finding] = document["open_findings"]
    assert (finding["cause"], finding["run_id"], finding["command"]) == (cause, str(run.run_id), "drift-check")
    assert float(finding["amount"]) == float(amount)
    shown = status(*words).stdout
    assert f"{words[0][2:].capitalize()} {words[1]} needs attention: it is known to be off; `backfill explain" in shown
    assert f"Open finding: {cause}, off by KES {int(amount):,}.00 in " in shown
    for command in (document["next_command"], f"backfill runs show {run.run_id}"):
        assert f"`{command}`" in shown
        assert run_command(*command.split(), env=environment).exit_code in {0, 1}
    assert run_command("backfill", "rebuild", env=environment).exit_code == 0
    assert _document(status, *words)["open_findings"] == []


def test_a_row_that_is_missing_is_known_by_its_finding(
    status: Status, database: Connection[Any], compare: Callable[..., Run]
) -> None:
    database.execute("DELETE FROM meter_balances WHERE meter_id = 11")
    compare()
    document = _document(status, "--meter", "11")
    assert (document["applied_at"], document["last_compared"]) == (None, None)
    assert document["open_findings"]
    assert "Applied: never; it has no row\n" in status("--meter", "11").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--meter", "4711"), "--meter 4711: there is no balance of this meter, and no open finding"),
        (("--customer", "4711"), "--customer 4711: there is no balance of this customer, and no open finding"),
        (("--meter", "1", "--customer", "1"), "--meter or --customer is given alone"),
        (("--meter", "1", "--max-lag", "0"), "--meter or --customer is given alone"),
        (("--meter", "0"), "--meter"),
        (("--customer", "x"), "--customer"),
    ],
)
def test_what_is_unknown_or_cannot_be_combined_is_one_line(status: Status, words: tuple[str, ...], said: str) -> None:
    done = status(*words, code=2)
    assert (done.stdout, done.stderr.strip().count("\n")) == ("", 0), done.stderr
    assert said in done.stderr
