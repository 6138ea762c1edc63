"""Help pages as plain text of the terminal's width, in which no option, id or command is cut off or broken.

The tables that typer draws by default shorten the names of options in a terminal of 80 columns.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import typer

from events.runtime.layout import wrapped

WIDTH_MAX: Final = 120  # longer lines are hard to read
NAMES_MAX: Final = 30  # columns of names; the text of a longer one begins below it
MARGIN: Final = 2

PLAIN_NAMES: Final = ((re.compile(r" <str>$"), ""), (re.compile(r"<(int|float)( range)?>$"), "N"))
PLAIN_BOUNDS: Final = (
    (re.compile(r"\b1<=x<=9223372036854775807(; )?"), ""),  # any id
    (re.compile(r"\b([\d.]+)<=x<=([\d.]+)\b"), r"\1 to \2"),
    (re.compile(r"\bx>=([\d.]+)\b"), r"at least \1"),
)
"""What click calls a value, and its bounds, and what people do."""

PLAIN_MEANINGS: Final = (*PLAIN_BOUNDS, (re.compile(r"^Show this message and exit\.$"), "print this page and exit"))
"""The texts of options: click's own is written as ours are."""

Formatter: Final[Any] = typer.Context.formatter_class


class _HelpFormatter(Formatter):  # type: ignore[misc]  # typer includes click, and does not export this class
    """Writes paragraphs and lists, with lines broken between words alone."""

    def __init__(self, **_: object) -> None:
        super().__init__(max_width=WIDTH_MAX)

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        indent = " " * self.current_indent
        for number, paragraph in enumerate(text.split("\n\n")):
            lines = wrapped(" ".join(paragraph.split()), self.width - self.current_indent)
            self.write("\n" * bool(number) + "".join(f"{indent}{line}\n" for line in lines))

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = NAMES_MAX, col_spacing: int = MARGIN) -> None:
        """Write names beside their meanings."""
        rows = [(_replaced(name, PLAIN_NAMES), _replaced(meaning, PLAIN_MEANINGS)) for name, meaning in rows]
        names = min(max(len(name) for name, _ in rows), col_max) + col_spacing
        indent = " " * (self.current_indent + names)
        for name, meaning in rows:
            first, *rest = wrapped(" ".join(meaning.split()), self.width - len(indent))
            head = f"{' ' * self.current_indent}{name}"
            beside = head.ljust(len(indent)) if len(name) + col_spacing <= names else f"{head}\n{indent}"
            self.write(
                "".join(f"{line}\n" for line in (f"{beside}{first}".rstrip(), *(indent + line for line in rest)))
            )


def _replaced(text: str, patterns: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, by in patterns:
        text = pattern.sub(by, text)
    return text


class _HelpContext(typer.Context):
    formatter_class = _HelpFormatter


def use_plain_help(command: Any) -> None:  # noqa: ANN401 - click's command, which typer does not export
    """Let a command and all below it write such pages; a list of commands shows the whole first paragraph of each."""
    command.context_class = _HelpContext
    command.short_help = command.short_help or (command.help or "").partition("\n\n")[0]
    for each in getattr(command, "commands", {}).values():
        use_plain_help(each)
