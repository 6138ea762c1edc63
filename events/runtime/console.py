"""Output for people and for programs: tables, JSON, lines; control characters are escaped."""

import errno
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from events.runtime import completion, layout
from events.runtime.errors import InputError

PIPE_WIDTH = 160  # columns of a table that goes to a file or a pipe, unless COLUMNS says otherwise
DISTRIBUTION = "meter-balance-projector"  # what installs all three programs, under one version


class Format(StrEnum):
    """How a command prints its result on standard output."""

    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]


def app(help_text: str, *, is_command: bool = False) -> typer.Typer:
    """Make a command group, or a single command; `events.runtime.boundary` runs it."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=not is_command,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def program(name: str, help_text: str) -> typer.Typer:
    """Make a program's outermost command group: it answers these options before a setting is read."""
    group = app(help_text)

    def print_version(wanted: bool) -> None:  # noqa: FBT001 - typer hands the flag over
        if wanted:
            from importlib.metadata import version  # noqa: PLC0415 - loads what no other command needs

            say(f"{name} {version(DISTRIBUTION)}")
            raise typer.Exit

    def print_completion(shell: completion.Shell | None) -> None:
        if shell is not None:
            raise typer.Exit(completion.answer(name, group, f"source_{shell}"))

    @group.callback()
    def take_options(
        _version: Annotated[  # noqa: FBT002 - a flag
            bool, typer.Option("--version", callback=print_version, is_eager=True, help="print the version and exit")
        ] = False,
        _shell: Annotated[
            completion.Shell | None,
            typer.Option(
                "--show-completion", callback=print_completion, is_eager=True, help="print a shell's completion script"
            ),
        ] = None,
    ) -> None:
        """Leave everything else to the command."""

    return group


def as_typed(program: str) -> str:
    """Write a program's name as the user's shell finds it: alone if it is on the PATH, else as it was started."""
    started = Path(sys.argv[0])
    if started.name != program:  # as a module
        return f"{shlex.quote(sys.executable)} -m {program}"
    found = shutil.which(program)
    if started.parent == Path() or (found and Path(found).resolve() == started.resolve()):
        return program
    return shlex.quote(sys.argv[0])


def activation() -> str | None:
    """Return the script that puts the programs on the PATH, as it can be typed; None if they are there."""
    started = Path(sys.argv[0])
    script = started.with_name("activate")
    on_path = as_typed(started.name) == started.name
    return None if on_path or not script.exists() else shlex.quote(str(script))


def printable(text: str) -> str:
    """Escape characters that are not printable: terminal controls, and Unicode characters that reorder or hide text."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def escaped(document: str) -> str:
    """Escape characters that are not printable in a JSON document, which keeps its meaning."""
    if document.isprintable():
        return document
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in document)


class _Inert(Console):
    """Prints text with its control characters escaped; only our own styles have an effect."""

    def render_str(self, text: str, **how: Any) -> Text:  # noqa: ANN401 - rich's own options, passed on
        return super().render_str(printable(text), **how)

    def on_broken_pipe(self) -> None:
        """Raise, to be handled at the process boundary; rich would end the process with 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def stdout() -> Console:
    """Return a console on standard output, as wide as COLUMNS says, the terminal is, or a file or a pipe may be."""
    console = _Inert(highlight=False, soft_wrap=False)
    return console if console.is_terminal or os.environ.get("COLUMNS") else _Inert(highlight=False, width=PIPE_WIDTH)


def say(line: str) -> None:
    """Print one line for people; on a terminal it is wrapped between words, and continues below its own indent."""
    _print_wrapped(stdout(), line)


def say_whole(line: str) -> None:
    """Print one line that is never wrapped: somebody copies a command from it that has to stay on one line."""
    stdout().print(Text(printable(line)), soft_wrap=True)


def say_on_stderr(line: str) -> None:
    """Print one line on standard error, whatever is in it, beside what standard output holds; it is never wrapped."""
    sys.stderr.write(" ".join(printable(line).split()) + "\n")
    sys.stderr.flush()


def confirm(question: str) -> bool:
    """Ask a person at the terminal.

    Raises:
        InputError: standard input is not a terminal.

    """
    if not sys.stdin.isatty():
        raise InputError("standard input is not a terminal, so nobody can confirm: nothing was changed; add --yes")
    return typer.confirm(question)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, indent: int = 0) -> None:
    """Print rows as a table, or as records where it does not fit; `events.runtime.layout` says how to name columns."""
    out = stdout()
    named: Sequence[layout.Column] = [layout.column(name) for name in columns]
    cells: Sequence[Sequence[str]] = [[_text(cell) for cell in row] for row in rows]
    if not cells:
        say(f"{title}: none")
        return
    if title:
        _print_wrapped(out, title, style="italic")
    fitted = layout.fitted(named, cells, out.width - indent)
    if fitted is None:
        named, cells = layout.without_empty(named, cells)
        fitted = layout.fitted(named, cells, out.width - indent)
    if fitted is None:
        _print_records(out, named, cells, indent)
        return
    table = Table()
    for column, width in zip(named, fitted.widths, strict=True):
        table.add_column(Text(column.name), justify="right" if column.right else "left", no_wrap=True, width=width)
    for lines in fitted.rows:
        table.add_row(*map(Text, lines))
    out.print(Padding(table, (0, 0, 0, indent), expand=False))


def print_record(title: str, facts: Iterable[tuple[str, object]]) -> None:
    """Print what is known of one thing, as `Name: value`; a name may end in `~`, as a column's."""
    out, known = stdout(), [(layout.column(printable(name)), _text(value)) for name, value in facts]
    _print_wrapped(out, title, style="italic")
    _print_records(out, [name for name, _ in known], [[value for _, value in known]], 0)


def _print_wrapped(out: Console, line: str, style: str = "") -> None:
    text = printable(line)
    indent = text[: len(text) - len(text.lstrip(" "))]
    lines = [text]
    if out.is_terminal:
        lines = [indent + each for each in layout.wrapped(text.lstrip(" "), out.width - len(indent))]
    for each in lines:
        out.print(Text(each, style=style), soft_wrap=True)


def _print_records(out: Console, columns: Sequence[layout.Column], rows: Sequence[Sequence[str]], indent: int) -> None:
    for row in rows:
        for line in layout.record(columns, row, out.width - indent):
            out.print(Text(" " * indent + line), soft_wrap=True)
        out.print()


def _text(cell: object) -> str:
    return printable("" if cell is None else str(cell))


def print_json(value: object) -> None:
    """Print one JSON document; money is written as strings, so that no reader rounds it."""
    sys.stdout.write(escaped(json.dumps(value, default=_plain, ensure_ascii=False)) + "\n")


def _plain(value: object) -> object:
    match value:
        case Decimal() | UUID():
            return str(value)
        case date() | datetime():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")
