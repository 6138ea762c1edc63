"""One command from its settings to its exit code."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
import structlog
from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution import progress
from backfill.execution.pool import run_pool
from backfill.execution.worker import RunTuning
from backfill.exit_codes import exit_code
from backfill.reports import output
from backfill.reports.output import ReportOptions
from backfill.runs import check_lock, chunks, workers
from backfill.runs import store as runs
from backfill.runs.phases import Command
from backfill.runs.selection import Selection
from backfill.runs.session import ready, reason, session
from backfill.runs.stopping import GivenUpError, asked_to_stop, unanswered
from backfill.runs.store import Run
from backfill.throttle.governor import governing
from backfill.throttle.pace import Brake, Pace, RowRate
from events.runtime.console import say
from events.runtime.errors import ServiceUnavailable, StateError, WorkFailed
from events.runtime.settings import Settings
from projector.database.failures import address

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was typed."""

    command: Command
    dry_run: bool = False
    chunk_size: int | None = None
    resume: str | None = None
    selection: Selection = field(default_factory=Selection)
    tuning: RunTuning
    report: ReportOptions
    silent: bool = False  # standard output is somebody else's

    @property
    def options(self) -> dict[str, Any]:
        """What a run's row keeps of it."""
        size = {} if self.chunk_size is None else {"chunk_size": self.chunk_size}
        return {"dry_run": self.dry_run, **size, **self.selection.options}


def execute(
    settings: Settings, request: Request, *, after: Callable[[Connection[Any], Run], None] = lambda *_: None
) -> int:
    """Carry a run out, print its report, and do what comes after it; return the exit code."""
    with ready(settings) as engine, session(engine) as connection, output.opened(request.report) as file:
        run = _begun(connection, request)
        if not request.silent:
            output.begin(run, request.report)
        run = run_to_completion(settings, connection, run, engine=engine, tuning=request.tuning)
        try:
            if file or not request.silent:
                said = output.write_report(settings, connection, run, request.report, file)
                if said and not request.silent:
                    say(said)
        finally:  # whoever is to be alerted is, also where nobody reads the report
            after(connection, run)
    record(run)
    return exit_code(run)


def _begun(connection: Connection[Any], request: Request) -> Run:
    if request.command == "drift-check":
        check_lock.claim(connection, request.resume)
    if request.resume:
        return runs.resume(connection, request.command, request.resume, dry=request.dry_run)
    return runs.begin(connection, request.command, request.options)


def run_to_completion(
    settings: Settings,
    connection: Connection[Any],
    run: Run,
    *,
    engine: Engine,
    tuning: RunTuning,
) -> Run:
    """Carry a run out until it is done or paused; further workers and the governor connect through the engine."""
    with (
        failure_written_down(settings, connection, run),
        asked_to_stop(settings.shutdown_seconds) as stop,
        progress.shown(connection, run) as watch,
        brakes(settings, engine, tuning) as chosen,
    ):
        others = [lambda: session(engine)] * (tuning.workers - 1)
        return run_pool(connection, run, stop=stop, watch=watch, pace=partial(Pace, chosen), others=others)


@contextmanager
def brakes(settings: Settings, engine: Engine, tuning: RunTuning) -> Iterator[list[Brake]]:
    """Set up what slows a run down: the rows a second that are allowed, and the consumers, for as long as it lasts."""
    rate = [RowRate(tuning.rows_per_second_max)] if tuning.rows_per_second_max else []
    if not tuning.governed:
        yield [*rate]
        return
    with governing(settings, engine) as governor:
        yield [*rate, governor]


@contextmanager
def failure_written_down(settings: Settings, connection: Connection[Any], run: Run) -> Iterator[None]:
    """Write a failure outside any chunk down with its run, where that is still possible.

    Raises:
        ServiceUnavailable: PostgreSQL broke off.
        StateError: it refused something.
        WorkFailed: a repair does not hold.
        GivenUpError: it did not answer within the budget that a signal leaves.

    """
    try:
        yield
    except WorkFailed as error:
        _fail(connection, run, str(error), for_all=True)
        kind = StateError if run.command == "drift-check" else WorkFailed  # whose code would say that drift was found
        raise kind(f"run {run.run_id} stopped: {error}; `backfill runs show {run.run_id}` tells which") from None
    except (GivenUpError, psycopg.Error) as error:
        how = f"go on with `{run.resume_command}`"
        if isinstance(error, GivenUpError) or unanswered():
            line = f"run {run.run_id} was stopped by a signal; PostgreSQL at {address(settings)} did not answer; {how}"
            raise GivenUpError(line) from None
        if connection.closed:
            line = f"PostgreSQL at {address(settings)} broke off: {reason(error)}; {how}"
            raise ServiceUnavailable(line) from None
        _fail(connection, run, reason(error), for_all=False)
        raise StateError(f"run {run.run_id} failed: {reason(error)}; {how}") from None


def _fail(connection: Connection[Any], run: Run, why: str, *, for_all: bool) -> None:
    """End a run as failed, unless others who share it go on, or have already ended it."""
    with suppress(StateError, psycopg.Error):  # what is wrong is told already
        run = chunks.collect_finished(connection, run)
        with workers.leave(connection, run.run_id) as alone:
            if alone or for_all:
                runs.change_state(connection, run, "failed", why)


def record(run: Run) -> None:
    """Leave one structured record of what a run did."""
    tally = run.tally
    _log.info(
        f"{run.title} {run.state}",
        run_id=str(run.run_id),
        customers_processed=tally.customers,
        meters=tally.meters,
        balances_changed=tally.balances_changed,
        overpayments_changed=tally.overpayments_changed,
        balance_before=str(tally.balance_before),
        balance_after=str(tally.balance_after),
        overpayment_before=str(tally.overpayment_before),
        overpayment_after=str(tally.overpayment_after),
        drifted=tally.drifted,
        findings=tally.findings,
        repaired=tally.repaired,
        unrepaired=tally.unrepaired,
        failed_chunks=tally.failed,
        seconds=round(tally.seconds, 3),
    )
