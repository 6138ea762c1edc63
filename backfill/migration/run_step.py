"""Runs one step, from its first chunk to the end of its run."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import structlog
from psycopg import Connection
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from backfill.execution.runner import failure_written_down
from backfill.migration.step import Options, Row, Step, walk
from backfill.runs import store as runs
from backfill.runs.stopping import GivenUpError, asked_to_stop, giving_up_late
from backfill.runs.store import Run
from backfill.runs.tally import Tally
from events.runtime.settings import Settings

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Performed:
    """The result of a step: its run, and its rows by outcome."""

    step: Step
    run: Run
    counts: Counter[str]

    @property
    def changed(self) -> int:
        """Rows that were changed, or would be in a dry run."""
        return self.step.changed(self.counts)

    @property
    def to_review(self) -> int:
        """Rows that need a review."""
        return self.step.to_review(self.counts)


def perform(
    settings: Settings,
    connection: Connection[Any],
    step: Step,
    options: Options,
    list_rows: Callable[[list[Row]], None],
) -> Performed:
    """Do a step; `list_rows` gets the rows that need a review, chunk by chunk."""
    run = runs.begin(connection, step.command, options.stored)
    began, counts, tally = monotonic(), Counter[str](), Tally()
    stopping = asked_to_stop(settings.shutdown_seconds)
    with failure_written_down(settings, connection, run), stopping as stop, _shown(step) as watch:
        with suppress(GivenUpError), giving_up_late(connection):
            for done in walk(connection, step, options, stop):
                list_rows(done.listed)
                counts += done.counts
                if done.failure:
                    tally += Tally(failed=1, failures=(done.failure,))
                watch(counts.total())
        tally += Tally(findings=step.to_review(counts), seconds=monotonic() - began)
        tally += Tally(repaired=0 if options.dry else step.changed(counts))
        run = _ended(connection, replace(run, tally=tally), paused=stop())
    performed = Performed(step=step, run=run, counts=counts)
    _record(performed)
    return performed


def _record(performed: Performed) -> None:
    """Log one structured record of the step."""
    run = performed.run
    _log.info(
        "step ended",
        command=run.command,
        dry_run=run.dry,
        state=run.state,
        run_id=str(run.run_id),
        rows=performed.counts.total(),
        changed=performed.changed,
        to_review=performed.to_review,
        outcomes=dict(performed.counts),
        failed_chunks=run.tally.failed,
        seconds=round(run.tally.seconds, 3),
    )


def _ended(connection: Connection[Any], run: Run, *, paused: bool) -> Run:
    with connection.transaction(), connection.cursor() as cursor:
        runs.advance(cursor, run)
        return runs.change_state(connection, run, "paused" if paused else "finished")


@contextmanager
def _shown(step: Step) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many rows were read, and how fast."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    began = monotonic()
    columns = SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TextColumn("{task.fields[rate]}")
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(step.noun, total=None, rate="")

        def watch(done: int) -> None:
            rate = f"{done / max(monotonic() - began, 1e-9):,.0f} {step.noun}/s"
            bar.update(task, completed=done, rate=rate)

        yield watch
