"""What a step prints: tables and a sentence for people, or one JSON document whose rows are streamed."""

import json
import sys
from collections import defaultdict
from typing import Any, Protocol

from backfill.migration.run_step import Performed
from backfill.migration.step import Row, Step
from backfill.reports.text_report import ROWS_MAX
from backfill.reports.verdict import describe_failure
from events.runtime.console import escaped, print_table, say
from events.runtime.wording import counted


class Show(Protocol):
    """Receives a step's rows and its end."""

    def begin(self, step: Step, *, dry: bool) -> None:
        """Print what is printed before a step."""

    def rows(self, rows: list[Row]) -> None:
        """Take the rows of one chunk that need a review."""

    def end(self, performed: Performed) -> None:
        """Print the result."""


class Tables:
    """For people: the first rows of each outcome are listed, the others counted."""

    def __init__(self) -> None:
        self._first = defaultdict[str, list[Row]](list)

    def begin(self, step: Step, *, dry: bool) -> None:
        """Print the banner of a dry run."""
        self._first.clear()
        banner(step.command, dry=dry)

    def rows(self, rows: list[Row]) -> None:
        """Keep the first rows of each outcome."""
        for row in rows:
            kept = self._first[row["outcome"]]
            if len(kept) < ROWS_MAX:
                kept.append(row)

    def end(self, performed: Performed) -> None:
        """Print the result in a sentence, the counts, and the first rows that need a review."""
        step, counts = performed.step, performed.counts
        paused = f" Paused; resume with `{performed.run.resume_command}`." if performed.run.state == "paused" else ""
        say(f"Result: {result(performed)}. Duration: {performed.run.tally.seconds:,.1f} s.{paused}")
        shown = [(outcome.words, f"{counts[name]:,}") for name, outcome in step.outcomes.items() if counts[name]]
        if shown:
            print_table(step.title, [step.noun.capitalize(), "Count>"], shown)
        for name, rows in self._first.items():
            self._table(step.outcomes[name].words, rows, counts[name])
        for failed in performed.run.tally.failures:
            say(describe_failure(step.noun, failed))
        banner(step.command, dry=performed.run.dry)

    def _table(self, title: str, rows: list[Row], count: int) -> None:
        names = [name for name in rows[0] if name != "outcome"]
        columns = [_heading(name) for name in names]
        print_table(title.capitalize(), columns, [[_cell(row[name], name) for name in names] for row in rows])
        if count > len(rows):
            say(f"... and {count - len(rows):,} more; --format json lists all")


class Document:
    """For programs: rows are written as they come, so memory does not grow with them."""

    def __init__(self) -> None:
        self._any = False

    def begin(self, step: Step, *, dry: bool) -> None:
        """Open the document."""
        self._any = False
        head = json.dumps({"step": step.command, "dry_run": dry})
        sys.stdout.write(head[:-1] + ', "listed": [')

    def rows(self, rows: list[Row]) -> None:
        """Write each row."""
        for row in rows:
            sys.stdout.write((", " if self._any else "") + escaped(json.dumps(row, default=str, ensure_ascii=False)))
            self._any = True

    def end(self, performed: Performed) -> None:
        """Close it with the counts."""
        tally = performed.run.tally
        rest = {
            "run_id": str(performed.run.run_id),
            "state": performed.run.state,
            "outcomes": {name: performed.counts[name] for name in performed.step.outcomes},
            "changed": performed.changed,
            "to_look_at": performed.to_review,
            "failed": tally.failed,
            "failures": [vars(failure) for failure in tally.failures],
            "seconds": round(tally.seconds, 3),
        }
        sys.stdout.write("], " + escaped(json.dumps(rest, ensure_ascii=False))[1:] + "\n")


def banner(command: str, *, dry: bool) -> None:
    """Print, before and after a dry run, that it changes nothing."""
    if dry:
        say(f"DRY RUN: nothing is changed. To apply: backfill {command}")


def result(performed: Performed) -> str:
    """Describe in a line what a step did."""
    tally, noun = performed.run.tally, performed.step.noun
    would = "would be changed" if performed.run.dry else "changed"
    failed = f"; {counted(tally.failed, 'chunk')} failed" if tally.failed else ""
    return (
        f"{counted(performed.counts.total(), noun.removesuffix('s'))} read, {performed.changed:,} {would}, "
        f"{performed.to_review:,} to review{failed}"
    )


def _heading(name: str) -> str:
    words = name.removesuffix("_id").replace("_", " ").capitalize()
    return f"{words}>" if name.endswith("_id") or name == "amount" else words


def _cell(value: Any, name: str) -> object:  # noqa: ANN401 - a column's value is of its type
    return f"{value:,.2f}" if name == "amount" else value
