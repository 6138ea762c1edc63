"""Text that somebody else wrote drives no terminal: not an event's, not a refused message's, not a legacy row's.

Whatever programs print in the whole suite is looked at for what is not printable (`tests/conftest.py`); here they are
given the worst to print, in each place where text of others is shown.
"""

import json
import os
import pty
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Producer
from sqlalchemy import Engine, text

from events.contract.types import topic_of
from events.runtime.settings import Settings
from tests.conftest import RunCommand
from tests.support.examples import assigned, customer, invoice, payment

EVIL: Final = (
    "\x1b]0;owned\x07\x1b[2J\x1b]8;;http://evil.example\x07\x9b31m"  # a title, a wiped screen, a link, a colour in C1
    "\r\n2026-01-01 [info] all is well\x08\x7f"  # a line of its own, and one taken back
    "\u202egnp.exe\u2066\u200f\u200b\ufeff\U000e0041\u2028"  # read backwards, hidden, broken
    "[bold]=cmd|'/c calc'!A1"  # markup, and what a spreadsheet computes
)
COMMANDS: Final = (
    "backfill explain --meter 1", "backfill explain --customer 7", "backfill runs",
    "backfill rebuild --dry-run --significant 1",
    "backfill payment-meter-ids --dry-run", "backfill invoice-amounts --dry-run",
    "projector dead-letters list", "projector dead-letters show 1", "projector status --customer 7",
)  # fmt: skip


@pytest.fixture
def hostile(
    kafka_settings: Settings, kafka_environment: dict[str, str], run_command: RunCommand, engine: Engine
) -> dict[str, str]:
    """Send such text in every member that is text, some refused and some applied, and damage what it lies beside."""
    good = [
        customer(7, EVIL), assigned(1, 1, 7), assigned(2, 2, 7),
        invoice(1, 1, "100.00", invoice_number=EVIL), invoice(2, 1, "5.00", invoice_number=EVIL),
        payment(1, "40.00", meter_id=1, method=EVIL, reference=EVIL), payment(2, "4.00", customer_id=7, reference=EVIL),
    ]  # fmt: skip
    for event in good:
        event["id"] += EVIL
    bad = json.dumps({**invoice(9, 1, "1.00"), "type": EVIL}).encode()
    producer = Producer({"bootstrap.servers": kafka_settings.kafka_bootstrap_servers})
    headers: Any = [("content-type", b"application/cloudevents+json"), (EVIL, EVIL.encode())]
    for value in (bad, EVIL.encode()):
        topic = topic_of("invoices", kafka_settings.topic_prefix)
        producer.produce(topic, value, EVIL.encode(), partition=0, headers=headers)
    producer.flush()
    lines = "".join(f"{json.dumps(event)}\n" for event in good)
    assert run_command("events", "publish", "-", env=kafka_environment, stdin=lines).exit_code == 0
    assert run_command("projector", "run", "--until-caught-up", env=kafka_environment).exit_code == 0
    with engine.begin() as connection:
        connection.execute(text("UPDATE customer_balances SET balance = balance + 500"))
        connection.execute(text("UPDATE dead_letters SET closed_by = :evil, closed_why = :evil"), {"evil": EVIL})
        insert = (
            "INSERT INTO backfill_runs (run_id, command, state, error) VALUES (uuidv7(), 'rebuild', 'failed', :evil)"
        )
        connection.execute(text(insert), {"evil": EVIL})
        finding = (
            "INSERT INTO drift (run_id, entity, entity_id, column_name, cause, found_at) "
            "SELECT run_id, 'customer', 7, 'balance', :evil, now() + interval '1 day' FROM backfill_runs"
        )
        connection.execute(text(finding), {"evil": EVIL})
    return kafka_environment


def test_every_command_shows_it_inert(hostile: dict[str, str], run_command: RunCommand) -> None:
    forms = [(command, form) for command in COMMANDS for form in ("table", "json")]
    with ThreadPoolExecutor() as pool:
        shown = pool.map(lambda each: run_command(*each[0].split(), "--format", each[1], env=hostile), forms)
        for (command, form), result in zip(forms, shown, strict=True):
            assert result.exit_code in {0, 1}, (command, result.stderr)
            assert "owned" in result.stdout, f"{command} --format {form} was to show it"
            assert all(line.isprintable() for line in result.stdout.split("\n")), (command, form)
    rows = run_command("backfill", "runs", "show", _check(hostile, run_command), "--format", "csv", env=hostile).stdout
    assert "owned" in rows
    assert all(line.isprintable() for line in rows.split("\n"))


def _check(hostile: dict[str, str], run_command: RunCommand) -> str:
    document = json.loads(run_command("backfill", "drift-check", "--format", "json", env=hostile).stdout)
    return str(document["run_id"])


def test_a_bad_line_is_named_inert(run_command: RunCommand, kafka_environment: dict[str, str]) -> None:
    line = json.dumps({**invoice(9, 1, "1.00"), "type": EVIL[:60]})
    result = run_command("events", "publish", "-", env=kafka_environment, stdin=line)
    assert result.exit_code == 2
    assert "unknown-type" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["backfill explain --meter 1", "backfill explain --customer 7", "projector dead-letters show 1"]
)
def test_a_terminal_gets_no_sequence_of_it(hostile: dict[str, str], command: str) -> None:
    shown = _on_a_terminal(command, hostile)
    assert "all is well" in shown
    assert "\x1b[" in shown, "it is a terminal: our own styles are there"
    for obeyed in ("\x1b]", "\x1b[2J", "\x9b", "\x07", "\x08", "\u202e", "\u2066", "\u200b", "\U000e0041"):
        assert obeyed not in shown


def _on_a_terminal(command: str, environment: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    program, *arguments = command.split()
    path = str(Path(sys.executable).parent / program)
    wide = {**environment, "TERM": "xterm-256color", "COLUMNS": "400"}
    with subprocess.Popen([path, *arguments], env=wide, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs):
        os.close(theirs)
        read = b""
        while chunk := _read(ours):
            read += chunk
    os.close(ours)
    return read.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux says that nobody holds the other end any more
        return b""
