"""Prints each step as it runs, or one JSON document at the end; a step that fails ends the demo."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any, Final

from rich.markup import escape

from events.runtime.console import Format, print_json, print_table, printable, stdout
from events.runtime.errors import WorkFailedError

INDENT: Final = "   "  # of what belongs to a step
TEXT_WIDTH: Final = 100  # columns of a sentence; a command is never wrapped


@dataclass
class Step:
    """The commands and results of a step, with the figures that were read."""

    title: str
    commands: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class Narrator:
    """Prints the steps."""

    def __init__(self, form: Format) -> None:
        self._aloud = form is Format.TABLE
        self._out = stdout()
        self._since = time.monotonic()
        self._steps: list[Step] = []

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._steps.append(Step(title))
        self._print(f"\n[bold]{len(self._steps)}. {escape(title)}[/bold]")

    def typed(self, command: str) -> None:
        """Show a command before it runs."""
        self._steps[-1].commands.append(command)
        self._print(f"{INDENT}[cyan]$ {escape(command)}[/cyan]")

    def say(self, sentence: str, **facts: object) -> None:
        """Print a result that was verified; `facts` are its figures for the JSON document."""
        self._steps[-1].sentences.append(sentence)
        self._steps[-1].facts.update(facts)
        self._print(escape(fill(printable(sentence), TEXT_WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)))

    def require(self, holds: object, otherwise: str) -> None:
        """End the demo if a step failed.

        Raises:
            WorkFailedError: naming the step.

        """
        if not holds:
            raise WorkFailedError(f"step {len(self._steps)} ({self._steps[-1].title}) failed: {otherwise}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a table."""
        if self._aloud:
            print_table("", columns, rows, indent=len(INDENT))

    def end(self) -> None:
        """Print the end."""
        seconds = time.monotonic() - self._since
        self._print(f"\nEvery step succeeded in {seconds:.0f} s; nothing is left running.")
        if not self._aloud:
            print_json({"steps": [vars(step) for step in self._steps], "seconds": round(seconds, 1)})

    def _print(self, markup: str) -> None:
        if self._aloud:
            self._out.print(markup, soft_wrap=True)
