"""Runs one command, from its settings to its exit code."""

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
from backfill.runs.session import ready, session
from backfill.runs.stopping import GivenUpError, asked_to_stop, unanswered
from backfill.runs.store import Run
from backfill.throttle.governor import governing
from backfill.throttle.pace import Brake, Pace, RowRate
from events.runtime.console import say
from events.runtime.errors import ServiceUnavailableError, StateError, WorkFailedError
from events.runtime.settings import Settings
from projector.database.address import address
from projector.database.failures import describe_error

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run as the command line asks for it."""

    command: Command
    dry_run: bool = False
    chunk_size: int | None = None
    resume: str | None = None
    selection: Selection = field(default_factory=Selection)
    tuning: RunTuning
    report: ReportOptions
    suppress_stdout: bool = False  # alerts are written there

    @property
    def options(self) -> dict[str, Any]:
        """The options that are stored with the run."""
        size = {} if self.chunk_size is None else {"chunk_size": self.chunk_size}
        return {"dry_run": self.dry_run, **size, **self.selection.options}


def execute(
    settings: Settings, request: Request, *, run_ended: Callable[[Connection[Any], Run], None] = lambda *_: None
) -> int:
    """Carry out a run, print its report, then call `run_ended`; return the exit code."""
    with ready(settings) as engine, session(engine) as connection, output.opened(request.report) as file:
        run = _begun(settings, connection, request)
        if not request.suppress_stdout:
            output.begin(run, request.report)
        run = run_to_completion(settings, connection, run, engine=engine, tuning=request.tuning)
        try:
            if file or not request.suppress_stdout:
                sentence = output.write_report(settings, connection, run, request.report, file)
                if sentence and not request.suppress_stdout:
                    say(sentence)
        finally:  # alerts are sent even where the report cannot be written
            run_ended(connection, run)
    record(run)
    return exit_code(run)


def _begun(settings: Settings, connection: Connection[Any], request: Request) -> Run:
    if request.command == "drift-check":
        check_lock.claim(connection, request.resume, settings.zone)
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
    """Carry out a run until it is done or paused; further workers and the governor connect through the engine."""
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
    """Set up the brakes of a run while the block lasts: the row rate that is allowed, and the governor."""
    rate = [RowRate(tuning.rows_per_second_max)] if tuning.rows_per_second_max else []
    if not tuning.governed:
        yield [*rate]
        return
    with governing(settings, engine) as governor:
        yield [*rate, governor]


@contextmanager
def failure_written_down(settings: Settings, connection: Connection[Any], run: Run) -> Iterator[None]:
    """Store the reason with the run when it fails outside any chunk, where PostgreSQL still answers.

    Raises:
        ServiceUnavailableError: the connection to PostgreSQL was lost.
        StateError: PostgreSQL refused a statement.
        WorkFailedError: a repair does not hold.
        GivenUpError: PostgreSQL did not answer within the shutdown time after a signal.

    """
    try:
        yield
    except WorkFailedError as error:
        _fail(connection, run, str(error), for_all=True)
        kind = (
            StateError if run.command == "drift-check" else WorkFailedError
        )  # whose exit code would mean that drift was found
        raise kind(f"run {run.run_id} stopped: {error}; `backfill runs show {run.run_id}` lists them") from None
    except (GivenUpError, psycopg.Error) as error:
        how = f"resume with `{run.resume_command}`"
        if isinstance(error, GivenUpError) or unanswered():
            line = f"run {run.run_id} was stopped by a signal; PostgreSQL at {address(settings)} did not answer; {how}"
            raise GivenUpError(line) from None
        if connection.closed:
            line = f"PostgreSQL at {address(settings)} closed the connection: {describe_error(error)}; {how}"
            raise ServiceUnavailableError(line) from None
        _fail(connection, run, describe_error(error), for_all=False)
        raise StateError(f"run {run.run_id} failed: {describe_error(error)}; {how}") from None


def _fail(connection: Connection[Any], run: Run, why: str, *, for_all: bool) -> None:
    """Set a run to failed, unless other processes go on with it or have ended it already."""
    with suppress(StateError, psycopg.Error):  # the caller reports the error
        run = chunks.collect_finished(connection, run)
        with workers.leave(connection, run.run_id) as alone:
            if alone or for_all:
                runs.change_state(connection, run, "failed", why)


def record(run: Run) -> None:
    """Log one structured record of the run."""
    tally = run.tally
    _log.info(
        "run ended",
        command=run.command,
        dry_run=run.dry,
        state=run.state,
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
