"""The documentation's pages, and what tests read from their Markdown."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import typer

from tests.docs.reference.commands import APPS
from tests.docs.site_links import ROOT_PAGES

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    "README.md",
    *ROOT_PAGES,
    *(page.relative_to(ROOT).as_posix() for page in sorted((ROOT / "docs").rglob("*.md"))),
)

FENCE: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)  # in a list it is indented
LINK: Final = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
NAMED_TEST: Final = re.compile(r"\[`(test_\w+)`\]\(([^)]+\.py)\)")
CODE: Final = re.compile(r"`([^`\n]+)`")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
ROW: Final = re.compile(r"^\|(.*)\|$", re.MULTILINE)


@cache
def text_of(page: str) -> str:
    """Read a page."""
    return (ROOT / page).read_text()


def prose_of(page: str) -> str:
    """Return a page without its blocks of code."""
    return FENCE.sub("", text_of(page))


def anchors_of(page: Path) -> set[str]:
    """List what a link to a heading of a page may end in."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows_of(text: str) -> list[str]:
    """Return the rows of the tables in a text, without their heads and rules."""
    rows = [row.strip() for row in ROW.findall(text)]
    return [row for row, after in zip(rows, [*rows[1:], ""], strict=True) if not (_is_rule(row) or _is_rule(after))]


def command_lines(page: str) -> Iterator[list[str]]:
    """Yield what a page tells the reader to type, or shows being typed, in words: blocks, and code within sentences."""
    text = text_of(page)
    typed = [line for kind, block in FENCE.findall(text) if kind == "sh" for line in block.split("\n")]
    shown = [line.strip()[2:] for line in text.split("\n") if line.strip().startswith("$ ")]
    spans = [span for span in CODE.findall(FENCE.sub("", text)) if "|" not in span]
    for line in (*typed, *shown, *spans):
        for part in re.split(r" \|\|? ", line.split(" # ")[0]):
            words = part.split()
            if len(words) > 1 and words[0] in {*APPS, "make"}:
                yield shlex.split(part.removesuffix("&"), comments=True)


def _is_rule(row: str) -> bool:
    return bool(row) and set(row) <= set("-| ")


def unknown_word(program: str, words: list[str]) -> str:
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
