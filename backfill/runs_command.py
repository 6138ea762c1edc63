"""`backfill runs`: past runs, how they ended and what they found."""

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final, NamedTuple

from backfill.audit.estimate import describe, eta_seconds
from backfill.reports import output
from backfill.reports.json_report import head
from backfill.reports.output import ReportOptions
from backfill.reports.repaired import so_far
from backfill.runs import store as runs
from backfill.runs import workers
from backfill.runs.chunks import collect_finished, read_with_progress
from backfill.runs.session import plain, ready
from backfill.runs.store import Run
from events.runtime.console import Format, print_json, print_table, say
from events.runtime.settings import Settings
from events.runtime.wording import counted

COLUMNS: Final = ("Run", "Command", "State", "Started", "Limited To~", "Result~")


class _Listed(NamedTuple):
    """A run, how many processes carry it out, and for how many seconds it still compares, where that is known."""

    run: Run
    workers: int
    eta_seconds: int | None


def print_runs(settings: Settings, limit: int, form: Format) -> None:
    """Print the latest runs, latest first."""
    with ready(settings) as engine, plain(engine) as connection:
        found = [
            _Listed(
                run=run,
                workers=workers.count(connection, run.run_id) if run.state == "running" else 0,
                eta_seconds=eta_seconds(connection, run),
            )
            for run in runs.recent(connection, limit)
        ]
    if form is Format.JSON:
        print_json([
            {**head(each.run), "workers": each.workers, "eta_seconds": each.eta_seconds} for each in found
        ])  # fmt: skip
        return
    print_table(f"Runs (times in {settings.timezone})", COLUMNS, [_row(each, settings.zone) for each in found])


def show_run(settings: Settings, run_id: str, how: ReportOptions) -> None:
    """Print a run's report."""
    output.require_possible(how)
    with ready(settings) as engine, plain(engine) as connection, output.opened(how) as file:
        run = read_with_progress(connection, run_id)
        if sentence := output.write_report(settings, connection, run, how, file):
            say(sentence)
        if how.to_people and (left := eta_seconds(connection, run)) is not None:
            say(f"Time left to compare: {describe(left)}.")


def cancel_run(settings: Settings, run_id: str) -> str:
    """Cancel a run; return the line to print.

    Raises:
        StateError: it has ended already.

    """
    with ready(settings) as engine, plain(engine) as connection:
        run = collect_finished(connection, runs.change_state(connection, runs.find(connection, run_id), "cancelled"))
        at_work = workers.count(connection, run.run_id)
    note = f"; its {counted(at_work, 'process', 'processes')} will stop after the current chunk" if at_work else ""
    return f"{run.title} {run.run_id} is cancelled{note}{'.' if (left := so_far(run)) else ''}{left}"


def _row(each: _Listed, zone: tzinfo) -> tuple[object, ...]:
    run = each.run
    abandoned = None
    if run.state == "running" and not each.workers:
        abandoned = f"no process is running it; `{run.resume_command}`"
    left = None if each.eta_seconds is None else f"{describe(each.eta_seconds)} left to compare"
    result = "; ".join(filter(None, [run.error, abandoned, *_counts(run), left]))
    command = run.title if run.part_of is None else f"{run.title} (part of {run.part_of})"
    started = f"{run.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    return (run.run_id, command, run.state, started, run.selection.described(zone), result)


def _counts(run: Run) -> Iterator[str]:
    """Yield what a run has compared, found and done; nothing of what is zero."""
    tally, log = run.tally, run.tally.log
    if log.messages or log.rows:
        yield f"{counted(log.messages, 'message')} and {counted(log.rows, 'row')} compared"
    elif tally.customers or tally.meters:
        yield f"{counted(tally.customers, 'customer')} and {counted(tally.meters, 'meter')} compared"
    elif run.state == "finished" and run.command in ("drift-check", "rebuild"):
        yield "nothing to compare"
    for count, verb in (
        (log.rows_wrong or tally.drifted, "drifted"),
        (tally.repaired, "repaired"),
        (tally.unrepaired, "not repaired"),
    ):
        if count:
            yield f"{count:,} {verb}"
    if tally.failed:
        yield f"{counted(tally.failed, 'chunk')} failed"
