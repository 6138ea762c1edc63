"""A progress bar on standard error, if that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from psycopg import Connection
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from backfill.audit import check, estimate
from backfill.audit.estimate import Work
from backfill.runs.phases import VERIFY, Phase
from backfill.runs.store import Run
from events.contract.limits import BIGINT_MAX
from events.contract.types import ENTITIES
from events.runtime.wording import counted

TITLES: Final[dict[Phase, str]] = {
    "customers": "customers",
    "meters": "meters without customer",
    "repair-meters": "repairing meters",
    "repair-customers": "repairing customers",
    "log": "messages",
    "rows-invoices": "invoices",
    "rows-payments": "payments",
    "rows-assignments": "assignments",
    "rows-customers": "customers' records",
    "places": "rows of one message",
    "winners": "messages, read again",
    "verdicts": "suspected rows",
    "done": "done",
}
TITLES_AGAIN: Final[dict[Phase, str]] = {
    **TITLES,
    "customers": "changed customers again",
    "meters": "changed meters again",
}
"""The titles of later rounds."""


BAR_WIDTH: Final = 12  # with title, count, rate and time left in a terminal of 80 columns

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
    """Show a run's progress: done of all, rate and time left; call the value with the run before each chunk.

    The time left is that of both phases that compare, in the first round of a check or a rebuild; else the phase's.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    work = estimate.work(connection, run) if total is total_to_compare and run.round == 1 else None
    with Progress(*columns(), console=console, transient=True) as bar:
        shown = _Shown(connection, bar, total, work)
        shown.show(run)
        yield shown.show


def columns() -> tuple[ProgressColumn, ...]:
    """Return what a line of progress consists of: title, bar, how much is done, rate and time left."""
    rate = TextColumn("{task.fields[rate]}")
    return TextColumn("{task.description}"), BarColumn(BAR_WIDTH), _Done(), rate, _TimeLeft()


class _Done(MofNCompleteColumn):
    """How many of all; where the bar counts keys, which have gaps, the share of their range or a figure with a unit."""

    def render(self, task: Task) -> Text:
        """Render it."""
        if not task.fields["by_key"]:
            return super().render(task)
        share = "" if task.total is None else f"{task.percentage:.0f} %"
        return Text(task.fields["figure"] or share)


class _TimeLeft(TimeRemainingColumn):
    """The time that was estimated for the run, or the bar's own estimate for its phase."""

    def render(self, task: Task) -> Text:
        """Render it."""
        seconds = task.fields["left"]
        if task.remaining == 0:
            return Text()
        return super().render(task) if seconds is None else Text(f"{estimate.describe(seconds)} left")


class _Shown:
    """One bar, started again for each phase: customers by number, meters by key, repairs by the drift found."""

    def __init__(self, connection: Connection[Any], bar: Progress, total: Total, work: Work | None) -> None:
        self._connection = connection
        self._bar = bar
        self._total = total
        self._work = work
        self._task: TaskID | None = None
        self._position: tuple[int, Phase] = (0, "done")

    def show(self, run: Run) -> None:
        """Move the bar to the run's position."""
        if (run.round, run.phase) != self._position or self._task is None:
            self._begin(run)
        if self._task is not None:
            task = self._bar.tasks[-1]
            left = self._work.seconds_left(run) if self._work else None
            completed = done(run, task.total, task.completed)
            self._bar.update(self._task, completed=completed, rate=_rate(run), left=left, figure=figure(run))

    def _begin(self, run: Run) -> None:
        self._position = run.round, run.phase
        if self._task is not None:
            self._bar.remove_task(self._task)
        total = self._total(self._connection, run)
        titles = TITLES if run.round == 1 else TITLES_AGAIN
        by_key = run.phase == "meters" or run.phase in VERIFY
        self._task = self._bar.add_task(
            titles[run.phase], total=total, completed=0, rate="", left=None, by_key=by_key, figure=""
        )


def done(run: Run, total: float | None, before: float) -> float:
    """Say how much of the phase is done. The last range of keys has no end: it leaves what was done before it."""
    if run.phase == "customers":
        return run.tally.customers if run.round == 1 else run.tally.compared_again
    if run.phase != "meters" and run.phase not in VERIFY:
        return run.tally.repaired
    if run.cursor == BIGINT_MAX:
        return before if total is None else total
    return min(max(0, run.cursor), BIGINT_MAX if total is None else total)


def figure(run: Run) -> str:
    """Say with its unit what a phase of `verify-log` has done, where its keys are ids whose range is not known."""
    log = run.tally.log
    match run.phase:
        case "rows-invoices" | "rows-payments" | "rows-assignments" | "rows-customers":
            return f"{counted(log.rows, 'row')} so far"
        case "places":
            return f"{min(max(0, run.cursor), len(ENTITIES))} of {len(ENTITIES)} tables"
        case "verdicts":
            return f"{counted(log.rows_wrong, 'row')} wrong"
        case _:
            return ""


def _rate(run: Run) -> str:
    seconds = max(run.tally.seconds, 1e-9)
    if run.phase == "log":
        return f"{run.tally.log.messages / seconds:,.0f} messages/s"
    return f"{run.tally.customers / seconds:,.0f} customers/s" if run.phase == "customers" and run.round == 1 else ""
