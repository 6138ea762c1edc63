"""A progress bar on standard error where that is a terminal, nothing otherwise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from psycopg import Connection
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from backfill import pace
from backfill.runs import Phase, Run

TITLES: Final[dict[Phase, str]] = {
    "customers": "customers",
    "meters": "meters without customer",
    "repair-meters": "repairing meters",
    "repair-customers": "repairing customers",
    "done": "done",
}


@contextmanager
def shown(connection: Connection[Any], run: Run) -> Iterator[Callable[[Run], None]]:
    """Show how far a run is: done of all, rate and time left; the value is told of each chunk."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    total = pace.customers(connection, run.selection)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(TITLES[run.phase], total=total, completed=run.tally.customers, rate="")
        yield lambda run: _show(bar, task, run)


def _show(bar: Progress, task: TaskID, run: Run) -> None:
    rate = f"{run.tally.customers / max(run.tally.seconds, 1e-9):,.0f} customers/s"
    if run.phase == "customers":
        bar.update(task, description=TITLES[run.phase], completed=run.tally.customers, rate=rate)
    else:
        entities = run.tally.repaired if run.phase.startswith("repair") else run.tally.meters
        bar.update(task, description=TITLES[run.phase], total=None, completed=entities, rate="")
