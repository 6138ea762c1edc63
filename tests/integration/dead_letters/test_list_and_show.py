"""What was refused can be found, and read without harm."""

import json

import pytest
from sqlalchemy import Engine, text

from tests.conftest import RunCommand, StartCommand
from tests.integration.dead_letters.conftest import Reader, dollars, letters
from tests.support.deployment import one_line
from tests.support.examples import invoice, payment

HOSTILE = b'{"name": "\x1b[31mred\x07 \xff\xfe", "[bold]": "\xe2\x80\xae"}'


@pytest.fixture
def refused(reader: Reader) -> Reader:
    reader.read([b"no json", None, *dollars(invoice(1, 1, "5.00"))])
    reader.read(dollars(payment(1, "5.00", meter_id=1)), "payments")
    return reader


def test_list_tells_place_and_reason_of_the_latest_first(
    refused: Reader, environment: dict[str, str], run_command: RunCommand
) -> None:
    result = run_command("projector", "dead-letters", "list", env=environment)
    assert result.exit_code == 0, result.stderr
    topic = f"{refused.settings.topic_prefix}.invoices"
    rows = [row for row in result.stdout.split("\n") if f"{topic}/4@" in row]
    assert [row.split(f"{topic}/4@")[1].split()[0] for row in rows] == ["2", "1", "0"]
    assert "wrong-currency" in rows[0]
    assert "data.currency: USD is not KES" in rows[0]


def test_list_filters_and_counts_what_it_does_not_show(
    refused: Reader, environment: dict[str, str], run_command: RunCommand
) -> None:
    def found(*options: str) -> tuple[int, list[str]]:
        result = run_command("projector", "dead-letters", "list", "--format", "json", *options, env=environment)
        assert result.exit_code == 0, result.stderr
        answer = json.loads(result.stdout)
        return answer["matching"], [f"{r['topic'].rpartition('.')[2]} {r['reason']}" for r in answer["dead_letters"]]

    assert found("--reason", "wrong-currency") == (2, ["payments wrong-currency", "invoices wrong-currency"])
    assert found("--topic", f"{refused.settings.topic_prefix}.payments") == (1, ["payments wrong-currency"])
    assert found("--limit", "1") == (4, ["payments wrong-currency"])
    assert found("--state", "discarded") == (0, [])
    assert found("--state", "all")[0] == 4
    wrong = run_command("projector", "dead-letters", "list", "--reason", "tired", env=environment)
    assert one_line(wrong, 2, "--reason tired", "wrong-currency")


def test_show_prints_everything_and_drives_no_terminal(
    reader: Reader, engine: Engine, environment: dict[str, str], run_command: RunCommand
) -> None:
    headers = (("content-type", b"text/\x1b[2J"), ("trace", None))
    reader.read([HOSTILE], key=b"4\x00\xff", headers=headers)
    [letter] = letters(engine)
    result = run_command("projector", "dead-letters", "show", str(letter["dead_letter_id"]), env=environment)
    assert result.exit_code == 0, result.stderr
    assert all(character.isprintable() or character == "\n" for character in result.stdout)
    for said in (
        r"4\x00\xff",
        r"text/\x1b[2J",
        "Header trace:        (null)",
        r"\x1b[31mred\x07 \xff\xfe",
        '"[bold]"',
        r"\u202e",
    ):
        assert said in result.stdout, said

    shown = run_command("projector", "dead-letters", "show", str(letter["dead_letter_id"]), "--format", "json",
                        env=environment)  # fmt: skip
    answer = json.loads(shown.stdout)
    assert answer["value"] == {"text": None, "hex": HOSTILE.hex()}
    assert answer["headers"][1] == {"name": "trace", "text": None, "hex": None}


def test_times_are_in_the_deployments_zone_and_in_json_in_utc(
    reader: Reader, engine: Engine, environment: dict[str, str], run_command: RunCommand
) -> None:
    reader.read([b"no json"])
    with engine.begin() as connection:
        for column, moment in (("refused", "05:00:01"), ("tried", "22:30:02"), ("closed", "23:00:03")):
            connection.execute(text(f"UPDATE dead_letters SET {column}_at = '2026-01-31 {moment}+00'"))
        connection.execute(text("UPDATE dead_letters SET state = 'discarded', closed_by = 'ada', tried_by = 'ada'"))
    [letter] = letters(engine)
    number = str(letter["dead_letter_id"])
    listed = run_command("projector", "dead-letters", "list", "--state", "all", env=environment)
    assert "2026-01-31 08:00:01 EAT" in listed.stdout
    shown = run_command("projector", "dead-letters", "show", number, env=environment).stdout
    for said in ("2026-01-31 08:00:01 EAT for not-json", "2026-02-01 01:30:02 EAT by", "2026-02-01 02:00:03 EAT by"):
        assert said in shown
    answer = run_command("projector", "dead-letters", "show", number, "--format", "json", env=environment)
    assert json.loads(answer.stdout)["refused_at"] == "2026-01-31T05:00:01+00:00"


def test_raw_writes_the_very_bytes(
    reader: Reader, engine: Engine, environment: dict[str, str], start_command: StartCommand
) -> None:
    reader.read([HOSTILE])
    [letter] = letters(engine)
    started = start_command(
        "projector", "dead-letters", "show", str(letter["dead_letter_id"]), "--raw", env=environment
    )
    assert started.process.wait(120) == 0
    assert started.stdout.read_bytes() == HOSTILE


def test_an_unknown_id_is_one_line(environment: dict[str, str], run_command: RunCommand) -> None:
    for command in (["show", "7"], ["retry", "7"], ["discard", "7", "--why", "gone"]):
        assert one_line(run_command("projector", "dead-letters", *command, env=environment), 2, "no dead letter 7")
