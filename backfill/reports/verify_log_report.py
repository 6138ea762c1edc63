"""The report of `verify-log`, for people."""

from backfill.runs.store import Run
from backfill.runs.tally import LogTally
from events.runtime.console import print_table
from events.runtime.wording import agree, counted


def print_counts(run: Run) -> None:
    """Print what was read, and what the log says about the rows; nothing of what is zero."""
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
        ("Different From the Log", log.rows_wrong - log.rows_missing),
        ("Missing From History", log.rows_missing),
    ]
    shown = [(name, f"{count:,}") for name, count in rows if count]
    if shown:
        print_table("History Against the Log", ["Metric", "Count>"], shown)


def outcome(run: Run) -> str:
    """Describe the result of a run that has finished."""
    tally, log = run.tally, run.tally.log
    if not log.rows_wrong and log.unreadable:
        verb = agree(
            log.unreadable, "would be refused now and is no dead letter", "would be refused now and are no dead letters"
        )
        return f"{counted(log.unreadable, 'message')} {verb}; everything else agrees with the log."
    if not (log.messages or log.rows):
        return "There was nothing to compare: no messages and no history."
    if not log.rows_wrong:
        return "No drift: history agrees with the log, as far back as it reaches."
    found = f"Drift: {_found(log, now=not run.options.get('repair'))}"
    if not run.options.get("repair"):
        return (
            f"{found}; nothing was changed. `backfill verify-log --repair` replays what has a message in the log, and "
            "repairs the balances."
        )
    if tally.unrepaired:
        still = agree(tally.unrepaired, "still differs", "still differ")
        return f"{found}; {tally.unrepaired:,} {still} after the repair."
    return f"{found}; {agree(log.rows_wrong, '', 'all ')}replayed, balances repaired, and compared again."


def _found(log: LogTally, *, now: bool) -> str:
    """Count the rows that differ from the log, and those that are missing, in the present or the past."""
    different = log.rows_wrong - log.rows_missing
    parts = []
    if different:
        verb = agree(different, "differs", "differ") if now else "differed"
        parts.append(f"{counted(different, 'row')} of history {verb} from the log")
    if log.rows_missing:
        verb = agree(log.rows_missing, "is", "are") if now else agree(log.rows_missing, "was", "were")
        parts.append(f"{counted(log.rows_missing, 'row')} that the log has {verb} missing from history")
    return " and ".join(parts)


def seen(run: Run) -> str:
    """Describe what was compared."""
    log = run.tally.log
    uncovered = log.rows_expired + log.rows_loaded
    rate = log.messages / max(run.tally.seconds, 1e-9)
    rest = f"; {counted(uncovered, 'row')} not covered by the log" if uncovered else ""
    pace = f"{run.tally.seconds:,.1f} s, {rate:,.0f} messages/s"
    return f"{counted(log.messages, 'message')} and {counted(log.rows, 'row')} compared{rest} ({pace})."
