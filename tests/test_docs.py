"""The pages say what is so: links resolve, named tests exist, examples decode, commands and settings are real."""

import ast
import re
import shlex
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

import backfill.cli
import events.cli
import projector.cli
from events.contract.decode import Decoder
from events.contract.types import TYPES, Event
from events.runtime.settings import Settings, variable
from tests.faults.plan import KINDS
from tests.support.oracle import expected

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(page.relative_to(ROOT).as_posix() for page in sorted((ROOT / "docs").rglob("*.md"))),
)
APPS: Final = {"events": events.cli.app, "projector": projector.cli.app, "backfill": backfill.cli.app}

LINK: Final = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
NAMED_TEST: Final = re.compile(r"\[`(test_\w+)`\]\(([^)]+\.py)\)")
CASE: Final = re.compile(r"`\[([^]`]+)\]`")
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE: Final = re.compile(r"`([^`\n]+)`")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
ROW: Final = re.compile(r"^\| (.*) \|$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_resolves(page: str) -> None:
    for link in LINK.findall(_prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        assert not anchor or anchor in _anchors(target), f"{page} links to {link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page: str) -> None:
    text = _prose(page)
    for name, link in NAMED_TEST.findall(text):
        file = (ROOT / page).parent / link
        tree = ast.parse(file.read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{page}: {link} has no {name}"
    for case in CASE.findall(text):
        assert f'"{case}"' in (ROOT / "tests/e2e/test_crash_points.py").read_text(), f"{page} names a case [{case}]"


def test_every_promise_and_every_way_to_die_names_its_test() -> None:
    for page, heading in (
        ("README.md", "What is promised"),
        ("docs/explanation/architecture.md", "Where a process can die"),
    ):
        rows = ROW.findall(_section(page, heading))[1:]
        assert len(rows) > 10
        for row in rows:
            test = row.split(" | ")[-1]
            assert NAMED_TEST.search(test) or test.startswith("the same"), f"{page}: no test in {row}"


def test_every_kind_of_fault_and_every_defect_that_they_found_is_on_their_page() -> None:
    kinds, defects = (ROW.findall(part)[1:] for part in _text("docs/explanation/faults.md").split("## What it found"))
    named = [kind for row in kinds for kind in re.findall(r"`([a-z ]+)`", row.split(" | ")[0])]
    assert sorted(named) == sorted(KINDS)
    assert len(defects) > 5
    assert all(NAMED_TEST.search(row.split(" | ")[-1]) for row in defects)


def test_everything_that_an_attacker_cannot_do_names_its_test() -> None:
    tables = re.findall(
        r"^\| cannot \| because \| test \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", _text("SECURITY.md"), re.MULTILINE
    )
    assert len(tables) >= 6, "one for each who might"
    for row in "".join(tables).splitlines():
        assert NAMED_TEST.search(row.split(" | ")[-1]), f"SECURITY.md: no test in {row}"


def test_an_example_of_each_type_decodes_and_they_amount_to_what_is_said() -> None:
    lines = [line for line in _block("events").split("\n") if line.startswith("{")]
    decode = Decoder("KES", "billing")
    decoded = [decode.structured(line.encode()) for line in lines]
    assert all(isinstance(event, Event) for event in decoded), decoded
    assert {event.type for event in decoded if isinstance(event, Event)} == TYPES.keys()
    meter = expected(lines).meter_balances[42]
    said = re.search(
        r"customer (\d+)'s,\s+billed ([\d.]+)\s+and paid ([\d.]+),\s+and owes ([\d.]+)", _text("README.md")
    )
    assert said is not None
    owner, *figures = said.groups()
    assert meter["customer_id"] == int(owner)
    assert [meter["total_billed"], meter["total_paid"], meter["balance"]] == list(map(Decimal, figures))


def test_the_table_of_commands_is_what_the_programs_say() -> None:
    rows = [tuple(row.split(" | ")) for row in ROW.findall(_block("commands"))[1:]]
    real = [(f"`{' '.join(path)}`", _one_liner(command)) for path, command in _commands()]
    assert rows == real


@pytest.mark.parametrize("program", APPS)
def test_every_command_answers_help(program: str) -> None:
    for path, _ in _commands():
        if path[0] == program:
            result = CliRunner().invoke(APPS[program], [*path[1:], "--help"])
            assert result.exit_code == 0, (path, result.output)
            assert "Usage" in result.output


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_is_one_that_the_programs_take(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in _command_lines(page):
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            assert targets.issuperset(words), f"{page}: {line}"
        else:
            unknown = _unknown(program, words)
            assert not unknown, f"{page}: `{line}`: no {unknown}"


def test_the_table_of_settings_is_complete_and_right() -> None:
    rows = [tuple(cell.strip() for cell in row.split(" | ")) for row in ROW.findall(_block("settings"))[1:]]
    *written, (kafka, _, _) = rows
    assert kafka == "`PROJECTOR_KAFKA__*`"
    assert written == [
        (f"`{field.alias or variable(name)}`", _default(field.default), field.description)
        for name, field in Settings.model_fields.items()
        if name != "kafka"
    ]


def _default(value: object) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return f"`{text}`" if text else ""


def _unknown(program: str, words: list[str]) -> str:
    """Name the first subcommand or option that a command line has and the program hasn't."""
    command: Any = typer.main.get_command(APPS[program])
    while words and hasattr(command, "commands"):
        word, *words = words
        if word == "--help":
            return ""
        if word not in command.commands:
            if command.invoke_without_command and word.startswith("--"):
                words = [word, *words]
                break
            return word
        command = command.commands[word]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return next((word for word in words if word.startswith("--") and word.partition("=")[0] not in options), "")


def _command_lines(page: str) -> Iterator[str]:
    """Yield what a page tells the reader to type, or shows being typed: blocks, and code within sentences."""
    text = _text(page)
    typed = [line for kind, block in FENCE.findall(text) if kind == "sh" for line in block.split("\n")]
    shown = [line.strip()[2:] for line in text.split("\n") if line.strip().startswith("$ ")]
    spans = [span for span in CODE.findall(FENCE.sub("", text)) if "|" not in span]
    for line in (*typed, *shown, *spans):
        for part in re.split(r" \|\|? ", line.split(" # ")[0]):
            words = part.split()
            if len(words) > 1 and words[0] in {*APPS, "make"}:
                yield part.removesuffix("&")


def _commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    for program, app in APPS.items():
        yield from _below((program,), typer.main.get_command(app))


def _below(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 - click's, which typer brings along
    if not hasattr(command, "commands"):
        yield path, command
        return
    if command.invoke_without_command:
        yield path, command
    for name, child in command.commands.items():
        yield from _below((*path, name), child)


def _one_liner(command: Any) -> str:  # noqa: ANN401 - as above
    return " ".join(str(command.help).split("\n\n")[0].split())


@cache
def _text(page: str) -> str:
    return (ROOT / page).read_text()


def _prose(page: str) -> str:
    return FENCE.sub("", _text(page))


def _block(name: str) -> str:
    """Return what stands in the README between the markers of a name."""
    return _text("README.md").partition(f"<!-- {name}: begin -->")[2].partition(f"<!-- {name}: end -->")[0]


def _section(page: str, heading: str) -> str:
    return _text(page).partition(f"## {heading}\n")[2].partition("\n## ")[0]


def _anchors(page: Path) -> set[str]:
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
