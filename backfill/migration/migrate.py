"""`backfill migrate`: all steps in order, from a history without meters and with accumulated debt to proven balances.

It stops if a payment is left without a meter, because every later figure would lack that payment. A step finds nothing
to do where it was done before, so a migration that stopped or was killed is simply started again.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Final, NamedTuple

import structlog
from psycopg import Connection

from backfill.execution.runner import failure_written_down
from backfill.exit_codes import EXIT_CLEAN, EXIT_FOUND, EXIT_PAUSED, EXIT_UNCHECKED, exit_code
from backfill.migration import invoice_amounts, payment_meter_ids
from backfill.migration.backup import Backup, back_up
from backfill.migration.balances import Balances, recalculate
from backfill.migration.connection import Database
from backfill.migration.output import Document, Show, Tables, banner, result
from backfill.migration.run_step import perform
from backfill.migration.step import Options, Step
from backfill.migration.validate import choose, print_validation, validate
from backfill.runs import store as runs
from backfill.runs.stopping import GivenUpError, asked_to_stop, giving_up_late
from backfill.runs.store import Run
from backfill.runs.tally import Tally
from events.runtime.console import Format, print_table, say
from events.runtime.errors import ProgramError
from events.runtime.wording import counted

_log = structlog.get_logger()


class Done(NamedTuple):
    """A step that was done: its exit code, and its result in a line."""

    exit_code: int
    result: str


@dataclass(frozen=True, kw_only=True)
class Migration:
    """A migration as it was asked for."""

    database: Database
    options: Options
    skip_validation: bool
    form: Format

    @property
    def people(self) -> bool:
        """Whether a person reads the output."""
        return self.form is Format.TABLE


@dataclass
class Progress:
    """How far a migration has come."""

    done: list[tuple[str, Done, float]] = field(default_factory=list)
    backup: Backup | None = None
    stopped: bool = False  # by a signal, between two steps or in the backup

    @property
    def exit_code(self) -> int:
        """The worst exit code of the steps: paused, not checked, failed, or clean."""
        codes = {step.exit_code for _, step, _ in self.done} | ({EXIT_PAUSED} if self.stopped else set())
        return next((code for code in (EXIT_PAUSED, EXIT_UNCHECKED, EXIT_FOUND) if code in codes), EXIT_CLEAN)


def migrate(migration: Migration) -> int:
    """Do the steps until one stops the migration; return the exit code."""
    settings, _, connection = migration.database
    progress = Progress()
    options = {"dry_run": migration.options.dry, "chunk_size": migration.options.chunk_size}
    run = runs.begin(connection, "migrate", options)
    _begin(migration, run)
    began = monotonic()
    with (
        failure_written_down(settings, connection, run),
        _failed_with_its_step(connection, run),
        asked_to_stop(settings.shutdown_seconds) as stop,
    ):
        with suppress(GivenUpError):
            for number, step in enumerate(STEPS, 1):
                if stop() or not _next(migration, progress, run, number, step):
                    break
        progress.stopped = stop() and len(progress.done) < len(STEPS)
        paused = progress.exit_code == EXIT_PAUSED
        with connection.transaction(), connection.cursor() as cursor:
            run = replace(run, tally=Tally(seconds=monotonic() - began))
            runs.advance(cursor, run)
            run = runs.change_state(connection, run, "paused" if paused else "finished")
    _record(progress, run)
    _end(migration, progress, run)
    return progress.exit_code


def _record(progress: Progress, run: Run) -> None:
    """Log one structured record of the migration."""
    _log.info(
        "migration ended",
        dry_run=run.dry,
        state=run.state,
        run_id=str(run.run_id),
        steps={name: done.result for name, done, _ in progress.done},
        backup=progress.backup and progress.backup._asdict(),
        exit_code=progress.exit_code,
        seconds=round(run.tally.seconds, 3),
    )


@contextmanager
def _failed_with_its_step(connection: Connection[Any], run: Run) -> Iterator[None]:
    """Set the migration to failed when a step fails."""
    try:
        yield
    except ProgramError as error:
        if not connection.closed:
            runs.change_state(connection, run, "failed", str(error))
        raise


def _next(
    migration: Migration, progress: Progress, run: Run, number: int, step: "tuple[str, Callable[[Migration], Done]]"
) -> bool:
    """Do one step; return whether the migration continues."""
    name, do = step
    if name == "meter-balances" and not migration.options.dry:
        with giving_up_late(migration.database.connection):
            progress.backup = back_up(migration.database.connection, run.run_id)
    if migration.people:
        say(f"\nStep {number} of {len(STEPS)}: {name}")
        if progress.backup and name == "meter-balances":
            say(f"The balances of {progress.backup.rows} are copied.")
    elif number > 1:
        sys.stdout.write(",")
    began = monotonic()
    done = do(migration)
    seconds = monotonic() - began
    progress.done.append((name, done, seconds))
    if migration.people:
        say(f"Step {number} of {len(STEPS)} took {seconds:,.1f} s.")
    blocked = name == PAYMENTS and done.exit_code and not (migration.options.dry or migration.skip_validation)
    return not blocked and done.exit_code != EXIT_PAUSED


def _amend(step: Step) -> Callable[[Migration], Done]:
    def do(migration: Migration) -> Done:
        show: Show = Tables() if migration.people else Document()
        show.begin(step, dry=migration.options.dry)
        settings, _, connection = migration.database
        performed = perform(settings, connection, step, migration.options, show.rows)
        show.end(performed)
        return Done(exit_code(performed.run), result(performed))

    return do


def _recalculate(command: Balances) -> Callable[[Migration], Done]:
    def do(migration: Migration) -> Done:
        run = recalculate(migration.database, command, migration.options, migration.form)
        tally, verb = run.tally, "drifted" if run.dry else "repaired"
        failed = tally.failed + tally.unrepaired
        read = f"{counted(tally.customers, 'customer')} and {counted(tally.meters, 'meter')} read"
        results = [f"{count:,} {word}" for count, word in ((tally.drifted, verb), (failed, "failed")) if count]
        return Done(exit_code(run), ", ".join((read, *(results or ["no drift"]))))

    return do


def _validate(*names: str) -> Callable[[Migration], Done]:
    def do(migration: Migration) -> Done:
        validation = validate(migration.database, choose(names), part_of="migrate")
        print_validation(validation, migration.form)
        expected = (
            migration.options.dry and validation.exit_code == EXIT_FOUND
        )  # a dry run has fixed nothing beforehand
        return Done(EXIT_CLEAN if expected else validation.exit_code, validation.result)

    return do


PAYMENTS: Final = "validate --check payments"
STEPS: Final[tuple[tuple[str, Callable[[Migration], Done]], ...]] = (
    ("payment-meter-ids", _amend(payment_meter_ids.STEP)),
    ("invoice-amounts", _amend(invoice_amounts.STEP)),
    (PAYMENTS, _validate("payments")),
    ("meter-balances", _recalculate("meter-balances")),
    ("customer-balances", _recalculate("customer-balances")),
    ("validate", _validate()),
)


def _begin(migration: Migration, run: Run) -> None:
    if migration.people:
        say(f"Migration {run.run_id}")
        banner("migrate", dry=run.dry)
    else:
        head = json.dumps({"run_id": str(run.run_id), "command": "migrate", "dry_run": run.dry})
        sys.stdout.write(head[:-1] + ', "steps": [')


def _end(migration: Migration, progress: Progress, run: Run) -> None:
    stopped = len(progress.done) < len(STEPS)
    backup = progress.backup
    if not migration.people:
        rest = {
            "state": run.state,
            "stopped_after": progress.done[-1][0] if stopped and progress.done else None,
            "backup": backup and backup._asdict(),
            "exit_code": progress.exit_code,
            "seconds": round(run.tally.seconds, 3),
        }
        sys.stdout.write("], " + json.dumps(rest)[1:] + "\n")
        return
    rows = [(number, name, done.result, f"{took:,.1f} s") for number, (name, done, took) in enumerate(progress.done, 1)]
    steps = f"{len(progress.done)} of {counted(len(STEPS), 'step')} done"
    say(f"\nResult: {steps}{'; nothing was changed' if run.dry else ''}.")
    print_table("Migration", ["Step>", "Command", "Result~", "Took>"], rows)
    if backup:
        say(f"Backup: {backup.rows}; `backfill restore {run.run_id}` restores the balances.")
    for line in _what_next(progress, run, stopped=stopped):
        say(line)
    banner("migrate", dry=run.dry)


STOPPED: Final = """\
Stopped: payments are left without a meter, and balances would lack them. Nothing was backed up or recalculated.
Next: publish those payments with a meter, or assignments of their customers, and run `backfill migrate` again;
or run `backfill migrate --skip-validation` to go on without them.
"""


def _what_next(progress: Progress, run: Run, *, stopped: bool) -> list[str]:
    if run.state == "paused":
        return ["Paused. Next: `backfill migrate` does what is not done yet."]
    if stopped:
        return STOPPED.splitlines()
    if run.dry:
        return ["Next: `backfill migrate` does it."]
    if progress.exit_code:
        return ["Next: fix what the validation reports as an error, then run `backfill validate`."]
    return ["Next: `backfill drift-check`, now and every night."]
