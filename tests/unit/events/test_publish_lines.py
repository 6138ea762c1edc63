"""What `events publish` reads, without Kafka: line numbers, a byte order mark, every invalid line and its reason."""

import json
import os
from pathlib import Path

import pytest

from events.contract.decode import Decoder
from events.json_lines import PROBLEMS_MAX, check, numbered
from events.runtime.errors import InputError
from tests.conftest import RunCommand
from tests.support import examples

GOOD = examples.line(examples.customer(1, "Omar"))
BAD = examples.line(examples.invoice(1, 2, "12.345"))


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    assert list(numbered([b"a\r\n", b"\n", b" b \n", b"c"], 1)) == [(1, b"a"), (3, b"b"), (4, b"c")]
    assert list(numbered([b"a\n", b"b\n", b"c\n"], 2)) == [(2, b"b"), (3, b"c")]
    assert list(numbered([], 9)) == []


def test_a_line_that_does_not_exist_is_none_to_continue_from() -> None:
    with pytest.raises(InputError, match=r"^--from-line 3: the last line is 2$"):
        list(numbered([b"a\n", b"b\n"], 3))


def test_a_byte_order_mark_is_left_out_of_the_first_line_only() -> None:
    mark = b"\xef\xbb\xbf"
    assert list(numbered([mark + b"a\n", mark + b"b\n"], 1)) == [(1, b"a"), (2, mark + b"b")]
    assert list(numbered([mark + b"\n", b"b\n"], 1)) == [(2, b"b")]


def test_every_invalid_line_is_counted_and_the_first_are_kept() -> None:
    found = check([GOOD, *[BAD] * (PROBLEMS_MAX + 5), GOOD], Decoder("KES", "billing"), 1, lambda *_: None)
    assert (found.valid, found.invalid) == ({"customers": 2}, PROBLEMS_MAX + 5)
    assert [number for number, *_ in found.problems] == list(range(2, PROBLEMS_MAX + 2))


def test_a_dry_run_needs_no_service(run_command: RunCommand, tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_bytes(GOOD + b"\n" + GOOD + b"\n")
    done = run_command("events", "publish", str(file), "--dry-run", "--format", "json", env=os.environ)
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"published": 0, "valid": 2, "topics": {"billing.customers": 2}}
    assert "nothing was sent" in run_command("events", "publish", str(file), "--dry-run", env=os.environ).stdout


def test_a_dry_run_names_every_invalid_line_of_standard_input(run_command: RunCommand) -> None:
    lines = b"\n".join([GOOD, *[BAD] * 30]).decode()
    done = run_command("events", "publish", "-", "--dry-run", env=os.environ, stdin=lines)
    assert (done.exit_code, done.stdout) == (2, "")
    *named, last = done.stderr.splitlines()
    assert [line.split(": ")[0] for line in named] == [f"standard input:{number}" for number in range(2, 22)]
    assert last == (
        "events: standard input: 30 of 31 lines are invalid, of which the first 20 are named; nothing was sent"
    )
