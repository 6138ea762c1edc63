"""The report of `verify-log`, for people."""

from backfill.runs.store import Run
from events.runtime.console import print_table


def print_counts(run: Run) -> None:
    """Print what was read, and what the log says about the rows."""
    log = run.tally.log
    rows = [
        ("Messages Read", log.messages),
        ("Refused, Still Dead Letters", log.refused),
        ("Refused Now, No Dead Letter", log.unreadable),
        ("Rows of History", log.rows),
        ("Confirmed by a Message", log.rows_confirmed),
        ("Of These, Amended by invoice-amounts", log.rows_amended),
        ("Not Covered: Newer Than This Run", log.rows_newer),
        ("Not Covered: From Before the Log's Beginning", log.rows_expired),
        ("Not Covered: Not From the Stream", log.rows_loaded),
        ("Different From the Log", log.rows_wrong),
    ]
    print_table("History Against the Log", ["Metric", "Count>"], [(name, f"{count:,}") for name, count in rows])


def outcome(run: Run) -> str:
    """Describe the result of a run that has finished."""
    tally, log = run.tally, run.tally.log
    if not log.rows_wrong and log.unreadable:
        refused = f"{log.unreadable:,} messages would be refused now and are not dead letters"
        return f"{refused}; everything else agrees with the log."
    if not log.rows_wrong:
        return "History agrees with the log, as far back as it reaches."
    found = f"{log.rows_wrong:,} rows of history differ from the log"
    if not run.options.get("repair"):
        return f"{found}; `backfill verify-log --repair` replays those that have a message in the log."
    if tally.unrepaired:
        return f"{found}; {tally.unrepaired:,} of them still differ after the repair."
    return f"{found}; all replayed and compared again."


def seen(run: Run) -> str:
    """Describe what was compared."""
    log = run.tally.log
    uncovered = log.rows_expired + log.rows_loaded
    rate = log.messages / max(run.tally.seconds, 1e-9)
    rest = f"; {uncovered:,} rows are not covered by the log" if uncovered else ""
    pace = f"{run.tally.seconds:,.1f} s, {rate:,.0f} messages/s"
    return f"{log.messages:,} messages and {log.rows:,} rows compared{rest} ({pace})."
