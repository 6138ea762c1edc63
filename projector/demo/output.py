"""Tell the story as it goes, to people or as one JSON document at the end; a step that does not hold ends it."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any, Final

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from events.runtime.console import Format, print_json, printable, stdout
from events.runtime.errors import WorkFailed

INDENT: Final = "   "  # of what belongs to a step
PROSE: Final = 100  # columns of a sentence; a command is never broken


@dataclass
class Step:
    """What was typed and what held, with the figures that were read."""

    title: str
    commands: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class Narrator:
    """The one that speaks."""

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
        """State what has been seen to hold; `facts` are its figures, for programs."""
        self._steps[-1].sentences.append(sentence)
        self._steps[-1].facts.update(facts)
        self._print(escape(fill(printable(sentence), PROSE, initial_indent=INDENT, subsequent_indent=INDENT)))

    def require(self, holds: object, otherwise: str) -> None:
        """End the story where a step did not hold.

        Raises:
            WorkFailed: naming the step.

        """
        if not holds:
            raise WorkFailed(f"step {len(self._steps)} ({self._steps[-1].title}) did not hold: {otherwise}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a table; columns whose name ends in `>` are aligned right."""
        table = Table()
        for column in columns:
            table.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left", overflow="fold")
        for row in rows:
            table.add_row(*(escape(printable(str(cell))) for cell in row))
        if self._aloud:
            self._out.print(Padding(table, (0, 0, 0, len(INDENT)), expand=False))

    def end(self) -> None:
        """Close the story."""
        seconds = time.monotonic() - self._since
        self._print(f"\nEverything held. {seconds:.0f} s, and nothing is left running.")
        if not self._aloud:
            print_json({"steps": [vars(step) for step in self._steps], "seconds": round(seconds, 1)})

    def _print(self, markup: str) -> None:
        if self._aloud:
            self._out.print(markup, soft_wrap=True)
