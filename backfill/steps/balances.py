"""`backfill meter-balances` and `customer-balances`: the recalculations, which are rebuilds of the one or the other."""

from decimal import Decimal
from typing import Any, Literal

from psycopg import Connection

from backfill import report, report_json, runs
from backfill.execute import carried_out, record
from backfill.runs import Run
from backfill.steps.step import Options
from events.console import Format
from events.settings import Settings

Balances = Literal["meter-balances", "customer-balances"]
SIGNIFICANT = Decimal(100)


def recalculate(
    settings: Settings, connection: Connection[Any], command: Balances, options: Options, form: Format
) -> Run:
    """Recompute from history, repair what differs, and print the report."""
    run = runs.begin(connection, command, {"dry_run": options.dry, "chunk_size": options.chunk_size})
    if form is Format.TABLE:
        report.banner(run)
    run = carried_out(settings, connection, run)
    outcome = report.read(connection, run, settings.currency, SIGNIFICANT)
    if form is Format.TABLE:
        report.print_report(outcome)
        report.banner(run)
    else:
        report_json.print_document(connection, outcome)
    record(run)
    return run
