"""Tables at the widths of terminals: what fits is a table, what does not is a record a row, and nothing is broken."""

import re
import sys

import pytest
from rich.cells import cell_len

from events.runtime import console, layout
from events.runtime.wording import agree, counted

WIDTHS = (80, 120, 160)
RUN = "01a227ce-2443-7f98-8a84-3b36dcbac382"
COMMAND = f"backfill customer-balances --dry-run --resume {RUN}"
COLUMNS = ("Run", "Command", "State", "Rows>", "Remark~")
ROWS = [
    (RUN, "customer-balances --dry-run", "running", "1,000", f"no process is running it; `{COMMAND}`"),
    (RUN, "drift-check", "finished", "7", "the meters of one customer, as they were said to be " * 3),
]


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Set the width of the terminal."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def test_ids_and_commands_are_never_broken(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table("Runs", COLUMNS, ROWS)
    printed = capsys.readouterr().out
    assert printed.startswith("Runs\n")
    assert printed.count(RUN) == 3
    assert f"`{COMMAND}`" in printed
    if width < 160:
        assert re.search(rf"^Run: +{RUN}$", printed, re.MULTILINE)
    long = [line for line in printed.splitlines() if cell_len(line) > width]
    assert all(COMMAND in line for line in long), long


def test_a_table_that_fits_stays_one_and_its_prose_is_wrapped(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(
        "Checks", ("Check", "Count>", "Problem~"), [("payments", 7, "a payment that counts nowhere " * 9)]
    )
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith("┏")
    assert {cell_len(line) for line in printed[1:]} == {width} or max(map(cell_len, printed)) <= width
    assert re.match(r"│ payments │     7 │ a payment that counts", printed[4])


def test_a_record_leaves_out_what_is_empty(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    console.print_table("Wide", ("Name", "Note", "Long"), [("a", "", "x" * 40), ("b", None, "y\nz")])
    assert capsys.readouterr().out == f"Wide\nName: a\nLong: {'x' * 40}\n\nName: b\nLong: y\n      z\n\n"


def test_an_empty_column_makes_room(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    console.print_table("", ("Name", "Note~", "Long"), [("a", "", "x" * 16)])
    printed = capsys.readouterr().out
    assert "Note" not in printed
    assert f"│ a    │ {'x' * 16} │" in printed


def test_on_a_terminal_a_sentence_is_wrapped_and_a_line_to_copy_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    line = "To use it: eval x --dir /some/where"
    console.say(line)
    console.say_whole(line)
    console.say_on_stderr(line)
    printed = capsys.readouterr()
    assert printed.out == f"To use it: eval x\n--dir /some/where\n{line}\n"
    assert printed.err == f"{line}\n"


def test_an_empty_table_says_that_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table("Runs", COLUMNS, [])
    assert capsys.readouterr().out == "Runs: none\n"


def test_wide_characters_are_measured_as_a_terminal_shows_them() -> None:
    fitted = layout.fitted([layout.column("Name"), layout.column("Note~")], [["李小龍", "李小龍 " * 20]], 40)
    assert fitted is not None
    assert fitted.widths == [6, 40 - 6 - 7]
    assert all(cell_len(line) <= fitted.widths[1] for line in fitted.rows[0][1].split("\n"))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two", "three"]),
        ("run `a b c d e` now", ["run", "`a b c d e`", "now"]),
        ("a-very-long-id-indeed x", ["a-very-long-id-indeed", "x"]),
        ("a ` b", ["a ` b"]),
        ("", [""]),
        ("a\n\nb", ["a", "", "b"]),
    ],
)
def test_lines_are_broken_between_words_alone(text: str, lines: list[str]) -> None:
    assert layout.wrapped(text, 8) == lines


def test_a_count_agrees_with_its_noun_and_its_verb() -> None:
    assert [counted(count, "meter") for count in (0, 1, 2, 1000)] == ["0 meters", "1 meter", "2 meters", "1,000 meters"]
    assert [counted(count, "entry", "entries") for count in (1, 2)] == ["1 entry", "2 entries"]
    assert [agree(count, "differs", "differ") for count in (0, 1, 2)] == ["differ", "differs", "differ"]
