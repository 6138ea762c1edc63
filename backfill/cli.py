"""The `backfill` command."""

from typing import Annotated

import typer

from backfill.migration import cli as steps
from backfill.options import (
    ChunkSizeOption,
    GovernorOption,
    OutputOption,
    ReportFormat,
    ReportOption,
    ResumeOption,
    RowRateOption,
    RunOptions,
    SignificantOption,
    takes_run_options,
)
from events.runtime import boundary, console
from events.runtime.console import Format, FormatOption

app = console.program(
    "backfill", "Compare balances with history, report what differs and why, and repair it while consumers run."
)
runs_app = console.app("List past runs, latest first; show or cancel one.", is_command=True)
app.add_typer(runs_app, name="runs")

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="report what would be repaired; change nothing")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="a run's id, as `backfill runs` lists it")]


@app.command("drift-check")
@takes_run_options
def drift_check(
    every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="run as a service: a check at this interval, such as 5m; SIGTERM ends it"),
    ] = None,
    cover_within: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="run as a service: each check spread evenly over this time, such as 24h"),
    ] = None,
    alert: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="send alerts here, besides PROJECTOR_ALERTS: an apprise address, kafka:, or stdout: instead of the "
            "report; may be repeated",
        ),
    ] = None,
    *,
    options: RunOptions,
) -> None:
    """Compare every meter and customer with history; change nothing.

    Exit code 0: no drift. 1: drift. 2: could not check, or not all, or another check is running. 3: paused by SIGTERM
    or SIGINT, or cancelled. With --every or --cover-within those signals end it with 0, or with 3 if PostgreSQL does
    not answer within the shutdown time.
    """
    from backfill.request import request
    from backfill.watch.command import drift_check as check

    raise typer.Exit(check(request("drift-check", options), every=every, cover_within=cover_within, alert=alert or []))


@app.command()
@takes_run_options
def rebuild(dry_run: DryRunOption = False, *, options: RunOptions) -> None:
    """Compare every meter and customer with history, and repair what differs without stopping a consumer.

    Each chunk is repaired as soon as it is compared, so a run that is cancelled halfway has repaired what it found
    until then. What involves meters or customers of other chunks is repaired once all are compared.

    Exit code 0: everything agrees now; with --dry-run, everything was compared, whatever differs. 1: some chunk failed
    or still differs. 2: could not start. 3: paused by a signal, or cancelled.
    """
    steps.run_rebuild("rebuild", options, dry_run=dry_run)


@app.command("verify-log")
def verify_log(  # noqa: PLR0913, PLR0917 - the command's options
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="replay the messages of rows that differ through the projector, and repair their meters"
        ),
    ] = False,
    max_rows_per_second: RowRateOption = None,
    governor: GovernorOption = True,
    chunk_size: ChunkSizeOption = None,
    resume: ResumeOption = None,
    form: ReportOption = ReportFormat.TABLE,
    output: OutputOption = None,
) -> None:
    """Compare history with the messages in Kafka that it was made of, as far back as the log reaches.

    Exit code 0: history agrees with the log, or was repaired. 1: it differs, or not all could be repaired. 2: could not
    compare. 3: paused by SIGTERM or SIGINT, or cancelled.
    """
    from backfill.execution.worker import RunTuning
    from backfill.reports.output import ReportOptions, require_possible
    from backfill.verify_log.verify import Asked, verify_log
    from events.runtime import logs
    from events.runtime.errors import InputError
    from events.runtime.settings import load

    if resume and (repair or chunk_size):
        raise InputError("--resume: what a run does, and its chunk size, were set when it began")
    report = ReportOptions(format=form, output=output)
    require_possible(report)
    settings = load()
    logs.configure(settings)
    tuning = RunTuning(rows_per_second_max=max_rows_per_second, governed=governor)
    asked = Asked(report=report, tuning=tuning, repair=repair, resume=resume, chunk_size=chunk_size)
    raise typer.Exit(verify_log(settings, asked))


@runs_app.callback(invoke_without_command=True)
def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many to show")] = 20,
    form: FormatOption = Format.TABLE,
) -> None:
    """List past runs, latest first; show or cancel one."""
    if context.invoked_subcommand is None:
        from backfill.runs_command import print_runs
        from events.runtime.settings import load

        print_runs(load(), limit, form)


@runs_app.command()
def show(
    run: RunArgument,
    significant: SignificantOption = "100",
    form: ReportOption = ReportFormat.TABLE,
    output: OutputOption = None,
) -> None:
    """Show a run's report again, or its progress."""
    from backfill.reports.money import threshold
    from backfill.reports.output import ReportOptions
    from backfill.runs_command import show_run
    from events.runtime.settings import load

    show_run(load(), run, ReportOptions(format=form, output=output, significant=threshold(significant)))


@runs_app.command()
def cancel(run: RunArgument) -> None:
    """Cancel a run permanently, and say how much it has repaired. Workers finish their chunk; repairs made are kept."""
    from backfill.runs_command import cancel_run
    from events.runtime.settings import load

    console.say(cancel_run(load(), run))


steps.register(app)


def main() -> None:
    """Run the program."""
    boundary.run("backfill", app)
