"""`backfill runs`: what was run, how it ended and what it found."""

from events.console import Format, print_json, print_table
from events.settings import Settings


def print_runs(settings: Settings, limit: int, form: Format) -> None:
    """Print the latest runs, latest first."""
    from backfill import runs  # noqa: PLC0415 - keeps `--help` fast
    from backfill.execute import ready  # noqa: PLC0415 - as above
    from backfill.report_json import head  # noqa: PLC0415 - as above
    from backfill.session import session  # noqa: PLC0415 - as above

    with ready(settings) as engine, session(engine) as connection:
        found = runs.recent(connection, limit)
    if form is Format.JSON:
        print_json([head(run) for run in found])
        return
    columns = [
        "Run",
        "Command",
        "State",
        "Started",
        "Customers>",
        "Meters>",
        "Drifted>",
        "Repaired>",
        "Failed>",
        "Error",
    ]
    rows = [
        (
            run.run_id,
            run.title,
            run.state,
            f"{run.started_at:%Y-%m-%d %H:%M:%S}",
            f"{run.tally.customers:,}",
            f"{run.tally.meters:,}",
            f"{run.tally.drifted:,}",
            f"{run.tally.repaired:,}",
            f"{run.tally.failed:,}",
            run.error,
        )
        for run in found
    ]
    print_table("Runs (times in UTC)", columns, rows)
