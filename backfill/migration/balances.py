"""`backfill meter-balances` and `customer-balances`: recalculations, each a rebuild of meters or of customers."""

from typing import Literal

from backfill.execution.runner import record, run_to_completion
from backfill.execution.worker import RunTuning
from backfill.migration.connection import Database
from backfill.migration.step import Options
from backfill.options import ReportFormat
from backfill.reports import output
from backfill.reports.output import ReportOptions
from backfill.runs import store as runs
from backfill.runs.store import Run
from events.runtime.console import Format

Balances = Literal["meter-balances", "customer-balances"]


def recalculate(database: Database, command: Balances, options: Options, form: Format) -> Run:
    """Recompute from history, repair what differs, and print the report; consumers come first."""
    settings, engine, connection = database
    run = runs.begin(connection, command, options.stored)
    how = ReportOptions(format=ReportFormat(form.value))
    output.begin(run, how)
    run = run_to_completion(settings, connection, run, engine=engine, tuning=RunTuning(governed=True))
    output.write_report(settings, connection, run, how, None)
    record(run)
    return run
