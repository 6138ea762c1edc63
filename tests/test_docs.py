"""The pages say what is so: links resolve, named tests exist, examples decode, commands are real."""

import ast
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from events.contract.decode import Decoder
from events.contract.types import TYPES, Event
from tests.docs.pages import (
    CODE,
    LINK,
    NAMED_TEST,
    PAGES,
    ROOT,
    anchors_of,
    command_lines,
    prose_of,
    rows_of,
    text_of,
    unknown_word,
)
from tests.docs.reference.commands import APPS, commands
from tests.docs.reference.events import EXAMPLES
from tests.faults.plan import KINDS
from tests.support.oracle import expected

README_LINES_MAX: Final = 150
CRASHES: Final = "docs/explanation/crash-points.md"
EVENTS: Final = "docs/reference/events.md"
PICTURE: Final = "docs/images/two-paths.svg"
FILE: Final = re.compile(r"(?:events|projector|backfill|tests|docs)/[\w./-]*")
MODULE: Final = re.compile(r"(?:events|projector|backfill|tests)(?:\.\w+){2,}")
CASE: Final = re.compile(r"`\[([^]`]+)\]`")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_resolves(page: str) -> None:
    for link in LINK.findall(prose_of(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        assert not anchor or anchor in anchors_of(target), f"{page} links to {link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_module_that_is_named_exists(page: str) -> None:
    for span in CODE.findall(prose_of(page)):
        if path := FILE.fullmatch(span):
            assert (ROOT / path[0]).exists(), f"{page} names {span}"
        if module := MODULE.fullmatch(span):
            parts = module[0].split(".")
            found = [ROOT.joinpath(*parts[:length]) for length in (len(parts), len(parts) - 1)]
            assert any(each.is_dir() or each.with_suffix(".py").exists() for each in found), f"{page} names {span}"


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page: str) -> None:
    text = prose_of(page)
    for name, link in NAMED_TEST.findall(text):
        file = (ROOT / page).parent / link
        tree = ast.parse(file.read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{page}: {link} has no {name}"


def test_every_case_of_a_crash_exists() -> None:
    cases = CASE.findall(prose_of(CRASHES))
    assert len(cases) > 5
    for case in cases:
        assert f'"{case}"' in (ROOT / "tests/e2e/test_crash_points.py").read_text(), f"{CRASHES} names a case [{case}]"


@pytest.mark.parametrize("page", ["docs/explanation/promises.md", CRASHES])
def test_every_promise_and_every_way_to_die_names_its_test(page: str) -> None:
    rows = rows_of(text_of(page))
    assert len(rows) > 10
    for row in rows:
        test = row.split(" | ")[-1]
        assert NAMED_TEST.search(test) or test.startswith("the same"), f"{page}: no test in {row}"


def test_every_kind_of_fault_and_every_defect_that_they_found_is_on_their_page() -> None:
    kinds, defects = map(rows_of, text_of("docs/explanation/faults.md").split("## What it has found"))
    named = [kind for row in kinds for kind in re.findall(r"`([a-z ]+)`", row.split(" | ")[0])]
    assert sorted(named) == sorted(KINDS)
    assert len(defects) > 5
    assert all(NAMED_TEST.search(row.split(" | ")[-1]) for row in defects)


def test_everything_that_an_attacker_cannot_do_names_its_test() -> None:
    tables = re.findall(
        r"^\| cannot \| because \| test \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", text_of("SECURITY.md"), re.MULTILINE
    )
    assert len(tables) >= 6, "one for each who might"
    for row in "".join(tables).splitlines():
        assert NAMED_TEST.search(row.split(" | ")[-1]), f"SECURITY.md: no test in {row}"


def test_an_example_of_each_type_decodes_and_they_amount_to_what_is_said() -> None:
    lines = EXAMPLES.read_text().splitlines()
    decode = Decoder("KES", "billing")
    decoded = [decode.structured(line.encode()) for line in lines]
    assert all(isinstance(event, Event) for event in decoded), decoded
    assert {event.type for event in decoded if isinstance(event, Event)} == TYPES.keys()
    meter = expected(lines).meter_balances[42]
    said = re.search(
        r"belongs\s+to\s+customer (\d+), is billed ([\d.]+) and has\s+paid\s+([\d.]+), and owes ([\d.]+\d)",
        text_of(EVENTS),
    )
    assert said is not None
    owner, *figures = said.groups()
    assert meter["customer_id"] == int(owner)
    assert [meter["total_billed"], meter["total_paid"], meter["balance"]] == list(map(Decimal, figures))


@pytest.mark.parametrize("program", APPS)
def test_every_command_answers_help(program: str) -> None:
    for path, _ in commands():
        if path[0] == program:
            result = CliRunner().invoke(APPS[program], [*path[1:], "--help"])
            assert result.exit_code == 0, (path, result.output)
            assert "Usage" in result.output


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_is_one_that_the_programs_take(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for program, *words in command_lines(page):
        if program == "make":
            assert targets.issuperset(words), f"{page}: make {words}"
        else:
            unknown = unknown_word(program, words)
            assert not unknown, f"{page}: `{program} {' '.join(words)}`: no {unknown}"


def test_every_message_that_is_explained_is_one_of_the_programs() -> None:
    said = " ".join(text for program in APPS for file in (ROOT / program).rglob("*.py") for text in _strings(file))
    for page in PAGES:
        tables = re.findall(r"^\| message contains \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", text_of(page), re.MULTILINE)
        for message in re.findall(r"^\| `([^`]+)` \|", "".join(tables), re.MULTILINE):
            assert message in said, f"{page} explains {message!r}, which no program says"


def test_the_readme_is_read_in_one_go() -> None:
    assert len(text_of("README.md").splitlines()) <= README_LINES_MAX


def test_the_files_in_the_picture_exist() -> None:
    named = re.findall(r'class="name"[^>]*>(\w+\.(?:py|sql))<', text_of(PICTURE))
    assert len(named) > 5
    for name in named:
        found = [file for program in APPS for file in (ROOT / program).rglob(name)]
        assert found, f"{PICTURE} names {name}"


def test_every_page_is_in_the_sites_navigation() -> None:
    """A page of the repository's top has another name there."""
    listed = text_of("mkdocs.yml")
    for page in PAGES:
        if page.startswith("docs/"):
            assert page.removeprefix("docs/") in listed, f"mkdocs.yml: nav lacks {page}"


def _strings(file: Path) -> Iterator[str]:
    """Yield the texts in a module; a text that is filled in, as it is between what fills it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
