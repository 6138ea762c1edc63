"""A progress bar on standard error, if that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from psycopg import Connection
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from backfill.audit import check
from backfill.runs.phases import VERIFY, Phase
from backfill.runs.store import Run

TITLES: Final[dict[Phase, str]] = {
    "customers": "customers",
    "meters": "meters without customer, by key",
    "repair-meters": "repairing meters",
    "repair-customers": "repairing customers",
    "log": "messages",
    "rows-invoices": "invoices",
    "rows-payments": "payments",
    "rows-assignments": "assignments",
    "rows-customers": "customers' records",
    "places": "rows that name the same message",
    "winners": "messages, read again",
    "verdicts": "suspected rows",
    "done": "done",
}
TITLES_AGAIN: Final[dict[Phase, str]] = {
    **TITLES,
    "customers": "comparing changed customers again",
    "meters": "comparing changed meters again, by key",
}
"""The titles of later rounds."""


Total = Callable[[Connection[Any], Run], int | None]
"""Reads how much a run's phase has to do, in the unit that its bar counts; None where that is not known."""


def total_to_compare(connection: Connection[Any], run: Run) -> int | None:
    """Count what a phase of a check or a rebuild has to do."""
    if run.phase == "customers":  # in a later round the customers to compare are known only once they are compared
        return check.count_customers(connection, run.selection) if run.round == 1 else None
    if run.phase == "meters":
        return check.last_meter(connection)
    return max(run.tally.drifted, run.tally.repaired)


@contextmanager
def shown(connection: Connection[Any], run: Run, total: Total = total_to_compare) -> Iterator[Callable[[Run], None]]:
    """Show a run's progress: done of all, rate and time left; call the value with the run before each chunk."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        shown = _Shown(connection, bar, total)
        shown.show(run)
        yield shown.show


class _Shown:
    """One bar, started again for each phase: customers by number, meters by key, repairs by the drift found."""

    def __init__(self, connection: Connection[Any], bar: Progress, total: Total) -> None:
        self._connection = connection
        self._bar = bar
        self._total = total
        self._task: TaskID | None = None
        self._position: tuple[int, Phase] = (0, "done")

    def show(self, run: Run) -> None:
        """Move the bar to the run's position."""
        if (run.round, run.phase) != self._position or self._task is None:
            self._begin(run)
        if self._task is not None:
            self._bar.update(self._task, completed=_done(run), rate=_rate(run))

    def _begin(self, run: Run) -> None:
        self._position = run.round, run.phase
        if self._task is not None:
            self._bar.remove_task(self._task)
        total = self._total(self._connection, run)
        titles = TITLES if run.round == 1 else TITLES_AGAIN
        self._task = self._bar.add_task(titles[run.phase], total=total, completed=_done(run), rate="")


def _done(run: Run) -> int:
    if run.phase == "customers":
        return run.tally.customers if run.round == 1 else run.tally.compared_again
    return max(0, run.cursor) if run.phase == "meters" or run.phase in VERIFY else run.tally.repaired


def _rate(run: Run) -> str:
    per_second = run.tally.customers / max(run.tally.seconds, 1e-9)
    return f"{per_second:,.0f} customers/s" if run.phase == "customers" and run.round == 1 else ""
