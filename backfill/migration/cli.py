"""The commands of the migration steps, and `explain`; `backfill.cli` mounts them."""

from typing import TYPE_CHECKING, Annotated

import typer

from backfill.options import RunOptions, takes_run_options
from events.contract.limits import BIGINT_MAX
from events.runtime.console import Format, FormatOption
from events.runtime.errors import InputError
from events.runtime.option_values import day

if TYPE_CHECKING:
    from backfill.migration.step import Step
    from backfill.runs.phases import Command

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="report what would be changed; change nothing")]
ChunkSizeOption = Annotated[int, typer.Option(min=1, max=100_000, help="rows in one chunk, one transaction")]
YesOption = Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")]
CHUNK_SIZE = 1000


def payment_meter_ids(
    dry_run: DryRunOption = False, chunk_size: ChunkSizeOption = CHUNK_SIZE, form: FormatOption = Format.TABLE
) -> None:
    """Allocate payments without a meter to a meter of their customer, and update the balances.

    A payment takes its invoice's meter; else its customer's only active meter; else the first meter that the customer
    has had, listed for review; else it stays unallocated and is listed. An event that names a meter always wins.

    Exit code 0: done. 1: some chunk failed. 2: could not start. 3: paused by a signal.
    """
    from backfill.migration import payment_meter_ids

    _amend(payment_meter_ids.STEP, dry_run, chunk_size, form)


def invoice_amounts(
    dry_run: DryRunOption = False, chunk_size: ChunkSizeOption = CHUNK_SIZE, form: FormatOption = Format.TABLE
) -> None:
    """Set each invoice's amount to what its lines charge, without debt brought forward, and update the balances.

    Lines of type BALANCE repeat earlier debt. Invoices without lines are listed and left as they are.
    Exit code 0: done. 1: some chunk failed. 2: could not start. 3: paused by a signal.
    """
    from backfill.migration import invoice_amounts

    _amend(invoice_amounts.STEP, dry_run, chunk_size, form)


@takes_run_options
def meter_balances(dry_run: DryRunOption = False, *, options: RunOptions) -> None:
    """Recompute every meter from history, with or without a customer, and the sums that it is part of.

    Exit code 0: everything agrees now; with --dry-run, everything was compared, whatever differs. 1: some chunk failed
    or still differs. 2: could not start. 3: paused by a signal, or cancelled.
    """
    run_rebuild("meter-balances", options, dry_run=dry_run)


@takes_run_options
def customer_balances(dry_run: DryRunOption = False, *, options: RunOptions) -> None:
    """Recompute every customer who has or had a meter: each active meter from history, then their sum.

    Exit code 0: everything agrees now; with --dry-run, everything was compared, whatever differs. 1: some chunk failed
    or still differs. 2: could not start. 3: paused by a signal, or cancelled.
    """
    run_rebuild("customer-balances", options, dry_run=dry_run)


def validate(
    check: Annotated[list[str] | None, typer.Option(metavar="NAME", help="only this check; may be repeated")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="accepted like everywhere else: validate never changes anything")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check whether the stored data is plausible, and name the command that fixes what is not.

    Exit code 0: no errors, perhaps warnings. 1: errors. 2: could not start. 3: paused by a signal.
    """
    from backfill.migration.connection import connected
    from backfill.migration.validate import choose, print_validation
    from backfill.migration.validate import validate as check_all

    chosen = choose(check or [])
    with connected() as database:
        validation = check_all(database, chosen)
        print_validation(validation, form, dry=dry_run)
    raise typer.Exit(validation.exit_code)


def migrate(
    dry_run: DryRunOption = False,
    skip_validation: Annotated[
        bool, typer.Option("--skip-validation", help="continue even if payments are left without a meter")
    ] = False,
    yes: YesOption = False,
    chunk_size: ChunkSizeOption = CHUNK_SIZE,
    form: FormatOption = Format.TABLE,
) -> None:
    """Do all steps in order: payments, invoices, validation, a backup, meters, customers, validation.

    Consumers may run meanwhile. Started again, it does only what is not done yet.
    Exit code 0: done. 1: stopped by the validation, or some of it failed. 2: could not start. 3: paused by a signal.
    """
    from backfill.migration.connection import confirm, connected
    from backfill.migration.migrate import Migration
    from backfill.migration.migrate import migrate as run_migration
    from backfill.migration.step import Options

    with connected() as database:
        if not (dry_run or yes):
            confirm("Amend payments and invoices, then recompute all balances?", "migrate", form)
        options = Options(dry_run, chunk_size, part_of="migrate")
        exit_code = run_migration(
            Migration(database=database, options=options, skip_validation=skip_validation, form=form)
        )
    raise typer.Exit(exit_code)


def restore(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the migration whose backup to take")],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Restore the balances as a migration found them; history stays as it is.

    Exit code 0: done. 2: could not start, or there is no such backup.
    """
    from backfill.migration.backup import find, print_restored
    from backfill.migration.backup import restore as put_back
    from backfill.migration.connection import confirm, connected

    with connected() as (settings, _, connection):
        migration = find(connection, run)
        if not (dry_run or yes):
            confirm(f"Overwrite all balances with those that run {run} saved?", f"restore {run}", form)
        print_restored(put_back(settings, connection, migration, dry=dry_run), form)


def explain(
    meter: Annotated[
        int | None, typer.Option(min=1, max=BIGINT_MAX, metavar="METER", help="the meter whose balance to explain")
    ] = None,
    customer: Annotated[
        int | None, typer.Option(min=1, max=BIGINT_MAX, metavar="ID", help="the customer whose meters to list")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="DATE", help="the last business day, such as 2026-01-31; with --meter")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="the first business day; earlier entries make the opening balance; with --meter"
        ),
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Explain a meter's balance line by line, or a customer's by meters.

    --meter shows each invoice and payment, where it came from, and what is not counted and why. --customer shows the
    recorded rows of the customer's meters, and whether the customer's row is their sum.
    """
    from backfill.explain.customer import print_customer, read
    from backfill.explain.explain import explain as state
    from backfill.explain.explain import print_statement
    from backfill.migration.connection import connected

    if (meter is None) == (customer is None):
        raise InputError("explain needs either --meter or --customer")
    if customer is not None and (at is not None or since is not None):
        raise InputError("--since and --at go with --meter, not with --customer")
    days = (None if since is None else day("--since", since)), (None if at is None else day("--at", at))
    with connected() as (settings, _, connection):
        if meter is not None:
            print_statement(settings, state(settings, connection, meter, *days), form)
        elif customer is not None:
            print_customer(settings, read(settings, connection, customer), form)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (
        payment_meter_ids, invoice_amounts, validate, meter_balances, customer_balances, migrate, restore, explain,
    ):  # fmt: skip
        app.command(command.__name__.replace("_", "-"))(command)


def _amend(step: "Step", dry_run: bool, chunk_size: int, form: Format) -> None:
    from backfill.exit_codes import exit_code
    from backfill.migration.connection import connected
    from backfill.migration.output import Document, Show, Tables
    from backfill.migration.run_step import perform
    from backfill.migration.step import Options

    show: Show = Tables() if form is Format.TABLE else Document()
    with connected() as (settings, _, connection):
        show.begin(step, dry=dry_run)
        performed = perform(settings, connection, step, Options(dry_run, chunk_size), show.rows)
        show.end(performed)
    raise typer.Exit(exit_code(performed.run))


def run_rebuild(command: "Command", options: RunOptions, *, dry_run: bool) -> None:
    """Compare and repair as asked."""
    from backfill.execution.runner import execute
    from backfill.request import request
    from events.runtime import logs
    from events.runtime.settings import load

    settings = load()
    logs.configure(settings)
    raise typer.Exit(execute(settings, request(command, options, dry_run=dry_run)))
