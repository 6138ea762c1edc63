"""The `backfill` command."""

from typing import TYPE_CHECKING, Annotated

import typer

from backfill.options import ResumeOption, SignificantOption
from backfill.steps import cli as steps
from events import console
from events.console import Format, FormatOption

if TYPE_CHECKING:
    from backfill.runs import Command

app = console.app("Compare balances with history, name what differs and why, and repair it beside live consumers.")

ChunkSizeOption = Annotated[int, typer.Option(min=1, max=100_000, help="customers in one chunk, one transaction")]


@app.command("drift-check")
def drift_check(  # noqa: PLR0913, PLR0917 - one option each
    chunk_size: ChunkSizeOption = 8000,
    resume: ResumeOption = None,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="go on for ever, a check every so often, as 5m; SIGTERM ends it")
    ] = None,
    cover_within: Annotated[
        str | None, typer.Option(metavar="TIME", help="go on for ever, each round spread evenly over a time, as 24h")
    ] = None,
    alert: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="where alerts go, beside PROJECTOR_ALERTS: an apprise address, kafka:, or stdout: in place of the "
            "report; may be repeated",
        ),
    ] = None,
    significant: SignificantOption = "100",
    form: FormatOption = Format.TABLE,
) -> None:
    """Compare every meter and customer with history; change nothing.

    Exit code 0: no drift. 1: drift. 2: could not check, or not all, or another check is at work. 3: paused by SIGTERM
    or SIGINT. With --every or --cover-within those end it with 0.
    """
    from backfill.watching import drift_check as check

    raise typer.Exit(
        check(
            chunk_size=chunk_size,
            resume=resume,
            every=every,
            cover_within=cover_within,
            alert=alert or [],
            significant=significant,
            form=form,
        )
    )


@app.command()
def rebuild(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be repaired; change nothing")] = False,
    chunk_size: ChunkSizeOption = 8000,
    resume: ResumeOption = None,
    significant: SignificantOption = "100",
    form: FormatOption = Format.TABLE,
) -> None:
    """Compare every meter and customer with history, and repair what differs without stopping a consumer.

    Exit code 0: all is well now. 1: some chunk failed or still differs. 2: could not start. 3: paused by a signal.
    """
    _execute("rebuild", chunk_size, resume, significant, form, dry_run=dry_run)


@app.command()
def runs(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many to show")] = 20,
    form: FormatOption = Format.TABLE,
) -> None:
    """List past runs, latest first."""
    from backfill.listing import print_runs
    from events.settings import load

    print_runs(load(), limit, form)


steps.register(app)


def _execute(  # noqa: PLR0913 - the options of two commands
    command: "Command", chunk_size: int, resume: str | None, significant: str, form: Format, *, dry_run: bool = False
) -> None:
    from backfill.execute import Request, execute
    from backfill.money import threshold
    from events import logs
    from events.settings import load

    settings = load()
    logs.configure(settings)
    request = Request(
        command=command,
        dry_run=dry_run,
        chunk_size=chunk_size,
        resume=resume,
        significant=threshold(significant),
        format=form,
    )
    raise typer.Exit(execute(settings, request))


def main() -> None:
    """Run the program."""
    console.run("backfill", app)
