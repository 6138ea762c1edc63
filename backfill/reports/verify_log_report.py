"""The report of a run of `verify-log`, for people."""

from backfill.runs.store import Run
from events.runtime.console import print_table


def print_counts(run: Run) -> None:
    """Print what was read, and what the log could say of the rows."""
    log = run.tally.log
    rows = [
        ("Messages Read", log.messages),
        ("Refused, Still Dead Letters", log.refused),
        ("Refused Now, No Dead Letter", log.unreadable),
        ("Rows of History", log.rows),
        ("Confirmed by a Message", log.rows_confirmed),
        ("Of These, Amended by Their Lines", log.rows_amended),
        ("Not Covered: Newer Than This Run", log.rows_newer),
        ("Not Covered: From Before the Log's Beginning", log.rows_expired),
        ("Not Covered: Not From the Stream", log.rows_loaded),
        ("Not What the Log Says", log.rows_wrong),
    ]
    print_table("History Against the Log", ["Metric", "Count>"], [(name, f"{count:,}") for name, count in rows])


def outcome(run: Run) -> str:
    """Say how a run that has ended turned out."""
    tally, log = run.tally, run.tally.log
    if not log.rows_wrong and log.unreadable:
        return f"{log.unreadable:,} messages are refused by now and are no dead letters; the rest is as the log says."
    if not log.rows_wrong:
        return "History is what the log says, as far as it reaches."
    found = f"{log.rows_wrong:,} rows of history are not what the log says"
    if not run.options.get("repair"):
        return f"{found}; `backfill verify-log --repair` replays those of which it has a message."
    if tally.unrepaired:
        return f"{found}; {tally.unrepaired:,} of them still are not after the repair."
    return f"{found}; all replayed and compared again."


def seen(run: Run) -> str:
    """Say what was compared."""
    log = run.tally.log
    uncovered = log.rows_expired + log.rows_loaded
    rate = log.messages / max(run.tally.seconds, 1e-9)
    rest = f"; of {uncovered:,} the log can say nothing" if uncovered else ""
    pace = f"{run.tally.seconds:,.1f} s, {rate:,.0f} messages/s"
    return f"{log.messages:,} messages and {log.rows:,} rows compared{rest} ({pace})."
