"""`backfill meter-balances` and `customer-balances`: the recalculations, which are rebuilds of the one or the other."""

from typing import Any, Literal

from psycopg import Connection

from backfill import runs, telling
from backfill.execute import carried_out, record
from backfill.options import ReportFormat
from backfill.runs import Run
from backfill.steps.step import Options
from backfill.telling import Telling
from events.console import Format
from events.settings import Settings

Balances = Literal["meter-balances", "customer-balances"]


def recalculate(
    settings: Settings, connection: Connection[Any], command: Balances, options: Options, form: Format
) -> Run:
    """Recompute from history, repair what differs, and print the report."""
    run = runs.begin(connection, command, {"dry_run": options.dry, "chunk_size": options.chunk_size})
    how = Telling(format=ReportFormat(form.value))
    telling.begin(run, how)
    run = carried_out(settings, connection, run)
    telling.tell(settings, connection, run, how, None)
    record(run)
    return run
