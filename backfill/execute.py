"""One command from its settings to its exit code."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection
from sqlalchemy import Engine

from backfill import checking, progress, report, report_json, runs
from backfill.carry_out import carry_out
from backfill.runs import Command, Run
from backfill.session import reason, session
from backfill.stopping import asked_to_stop
from events.console import Format
from events.errors import ServiceUnavailable, StateError
from events.settings import Settings
from projector.database import address, make_engine, reachable
from projector.schema import require_current

EXIT_CLEAN: Final = 0
EXIT_FOUND: Final = 1  # drift-check: drift; rebuild: something could not be repaired
EXIT_UNCHECKED: Final = 2  # drift-check: some chunk could not be compared
EXIT_PAUSED: Final = 3
CHUNK_SIZE: Final = 8000  # customers in one snapshot of some tenths of a second; a chunk costs a fixed share besides

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was typed."""

    command: Command
    dry_run: bool = False
    chunk_size: int = CHUNK_SIZE
    resume: str | None = None
    significant: Decimal
    format: Format
    silent: bool = False  # standard output is somebody else's


def execute(
    settings: Settings, request: Request, *, after: Callable[[Connection[Any], Run], None] = lambda *_: None
) -> int:
    """Carry a run out, print its report, and do what comes after it; return the exit code."""
    with ready(settings) as engine, session(engine) as connection:
        run = _begun(connection, request)
        people = request.format is Format.TABLE and not request.silent
        if people:
            report.banner(run)
        run = carried_out(settings, connection, run)
        outcome = report.read(connection, run, settings.currency, request.significant)
        if people:
            report.print_report(outcome)
            report.banner(run)
        elif not request.silent:
            report_json.print_document(connection, outcome)
        after(connection, run)
    record(run)
    return exit_code(run)


@contextmanager
def ready(settings: Settings) -> Iterator[Engine]:
    """Open the database whose schema is this program's.

    Raises:
        ServiceUnavailable: it cannot be reached.
        StateError: its schema is missing or of another version.

    """
    engine = make_engine(settings, program="backfill")
    try:
        with reachable(settings):
            require_current(engine, settings.schema_name)
            yield engine
    finally:
        engine.dispose()


def exit_code(run: Run) -> int:
    """Say by number how a run ended."""
    tally = run.tally
    if run.state == "paused":
        return EXIT_PAUSED
    if run.command != "drift-check":
        return EXIT_FOUND if tally.failed or tally.unrepaired else EXIT_CLEAN
    if tally.failed:
        return EXIT_UNCHECKED
    return EXIT_FOUND if tally.drifted else EXIT_CLEAN


def _begun(connection: Connection[Any], request: Request) -> Run:
    if request.command == "drift-check":
        checking.claim(connection)
    if request.resume:
        return runs.resume(connection, request.command, request.resume, dry=request.dry_run)
    return runs.begin(connection, request.command, {"dry_run": request.dry_run, "chunk_size": request.chunk_size})


def carried_out(settings: Settings, connection: Connection[Any], run: Run) -> Run:
    """Carry a run out until it is done or paused."""
    with (
        failure_written_down(settings, connection, run),
        asked_to_stop() as stop,
        progress.shown(connection, run) as watch,
    ):
        return carry_out(connection, run, stop=stop, watch=watch)


@contextmanager
def failure_written_down(settings: Settings, connection: Connection[Any], run: Run) -> Iterator[None]:
    """Write a failure outside any chunk down with its run, where that is still possible.

    Raises:
        ServiceUnavailable: PostgreSQL broke off.
        StateError: it refused something.

    """
    try:
        yield
    except psycopg.Error as error:
        how = f"go on with `{run.resume_command}`"
        if connection.closed:
            line = f"PostgreSQL at {address(settings)} broke off: {reason(error)}; {how}"
            raise ServiceUnavailable(line) from None
        runs.change_state(connection, run, "failed", reason(error))
        raise StateError(f"run {run.run_id} failed: {reason(error)}; {how}") from None


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
