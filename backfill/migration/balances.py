"""`backfill meter-balances` and `customer-balances`: the recalculations, which are rebuilds of the one or the other."""

from typing import Any, Literal

from psycopg import Connection

from backfill.execution.runner import record, run_to_completion
from backfill.migration.step import Options
from backfill.options import ReportFormat
from backfill.reports import output
from backfill.reports.output import ReportOptions
from backfill.runs import store as runs
from backfill.runs.store import Run
from events.runtime.console import Format
from events.runtime.settings import Settings

Balances = Literal["meter-balances", "customer-balances"]


def recalculate(
    settings: Settings, connection: Connection[Any], command: Balances, options: Options, form: Format
) -> Run:
    """Recompute from history, repair what differs, and print the report."""
    run = runs.begin(connection, command, {"dry_run": options.dry, "chunk_size": options.chunk_size})
    how = ReportOptions(format=ReportFormat(form.value))
    output.begin(run, how)
    run = run_to_completion(settings, connection, run)
    output.write_report(settings, connection, run, how, None)
    record(run)
    return run
