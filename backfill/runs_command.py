"""`backfill runs`: past runs, how they ended and what they found."""

from backfill.reports import output
from backfill.reports.json_report import head
from backfill.reports.output import ReportOptions
from backfill.runs import store as runs
from backfill.runs import workers
from backfill.runs.chunks import collect_finished, read_with_progress
from backfill.runs.session import plain, ready
from backfill.runs.store import Run
from events.runtime.console import Format, print_json, print_table, say
from events.runtime.settings import Settings

COLUMNS = (
    "Run!", "Command", "State", "Started", "Customers>", "Meters>", "Drifted>", "Repaired>", "Failed>", "Remark",
)  # fmt: skip


def print_runs(settings: Settings, limit: int, form: Format) -> None:
    """Print the latest runs, latest first."""
    with ready(settings) as engine, plain(engine) as connection:
        found = [
            (run, workers.count(connection, run.run_id) if run.state == "running" else 0)
            for run in runs.recent(connection, limit)
        ]
    if form is Format.JSON:
        print_json([{**head(run), "workers": at_work} for run, at_work in found])
        return
    print_table("Runs (times in UTC)", COLUMNS, [_row(run, at_work) for run, at_work in found])


def show_run(settings: Settings, run_id: str, how: ReportOptions) -> None:
    """Print a run's report."""
    output.require_possible(how)
    with ready(settings) as engine, plain(engine) as connection, output.opened(how) as file:
        run = read_with_progress(connection, run_id)
        if sentence := output.write_report(settings, connection, run, how, file):
            say(sentence)


def cancel_run(settings: Settings, run_id: str) -> str:
    """Cancel a run; return the line to print.

    Raises:
        StateError: it has ended already.

    """
    with ready(settings) as engine, plain(engine) as connection:
        run = collect_finished(connection, runs.change_state(connection, runs.find(connection, run_id), "cancelled"))
        at_work = workers.count(connection, run.run_id)
    note = f"; its {at_work} processes stop after their current chunks" if at_work else ""
    return f"{run.title} {run.run_id} is cancelled{note}"


def _row(run: Run, at_work: int) -> tuple[object, ...]:
    tally = run.tally
    abandoned = f"no process is running it; {run.resume_command}" if run.state == "running" and not at_work else None
    return (
        run.run_id,
        run.title,
        run.state,
        f"{run.started_at:%Y-%m-%d %H:%M:%S}",
        f"{tally.customers:,}",
        f"{tally.meters:,}",
        f"{tally.drifted:,}",
        f"{tally.repaired:,}",
        f"{tally.failed:,}",
        "; ".join(filter(None, [run.error, abandoned, str(run.selection)])),
    )
