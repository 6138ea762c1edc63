"""A run's result in a sentence, and what was compared in another."""

from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Final, NamedTuple

from backfill.reports import verify_log_report
from backfill.reports.money import money
from backfill.reports.repaired import so_far
from backfill.runs.phases import PHASES, State
from backfill.runs.store import Run
from backfill.runs.tally import Failure
from events.runtime.wording import agree, counted

UNFINISHED: Final[dict[State, str]] = {
    "running": "Not finished; `{}` joins the run.",
    "paused": "Paused; resume with `{}`.",
    "failed": "Failed: {error}. Once the cause is removed, resume with `{}`.",
    "cancelled": "Cancelled.",
}
ASK_THE_LOG: Final = "backfill verify-log"
NO_CUSTOMERS: Final = "No customers with meter assignments found."


class AmountsOff(NamedTuple):
    """The sums of what a run found balances and overpayments to be off, of meters and of customers, without signs.

    `history_edited` tells whether a cause is an edit of history, which a rebuild takes as right.
    """

    currency: str
    meters: Decimal
    customers: Decimal
    history_edited: bool = False


def sentence(run: Run, off: AmountsOff | None = None, zone: tzinfo = UTC) -> str:
    """Return the result and what was compared in one line."""
    return f"{verdict(run, off, zone)} {compared(run, zone)}".rstrip()


def verdict(run: Run, off: AmountsOff | None = None, zone: tzinfo = UTC) -> str:
    """Return the result; with the amounts if they are given."""
    if run.state != "finished":
        how = UNFINISHED[run.state].format(run.resume_command, error=run.error or "see the log")
        return f"{how}{so_far(run) or _found_so_far(run, off)}"
    if PHASES[run.command] == ("done",):
        return f"Finished: {run.title}, in {run.tally.seconds:,.1f} s. What it changed was printed when it ran."
    return verify_log_report.outcome(run) if run.command == "verify-log" else _outcome(run, off, zone)


def compared(run: Run, zone: tzinfo = UTC) -> str:
    """Describe what was compared, and how fast; nothing of a run that has compared nothing."""
    tally = run.tally
    if PHASES[run.command] == ("done",) or not (
        tally.customers or tally.meters or tally.log.messages or tally.log.rows
    ):
        return ""
    if run.command == "verify-log":
        return verify_log_report.seen(run)
    rate = tally.customers / max(tally.seconds, 1e-9)
    seen = f"{counted(tally.customers, 'customer')} and {counted(tally.meters, 'meter')} compared with history"
    if not run.selection.whole:
        seen += f", limited to {run.selection.described(zone)}"
    return f"{seen} ({tally.seconds:,.1f} s, {rate:,.0f} customers/s)."


def describe_failure(noun: str, failed: Failure) -> str:
    """Name the keys of a chunk that could not be processed, with their noun in the plural, and say why."""
    one = failed.first == failed.last
    return f"Failed: {noun.removesuffix('s') if one else noun} {failed.keys}: {failed.reason}"


def apply_command(run: Run) -> str:
    """Return the command that repairs what a check or a dry run found, with the same selection."""
    command = "rebuild" if run.command == "drift-check" else run.command
    return " ".join(("backfill", command, *run.selection.arguments))


def _outcome(run: Run, off: AmountsOff | None, zone: tzinfo) -> str:
    tally = run.tally
    if run.matched_nothing:
        return f"Nothing was compared: the database does not know {run.selection.described(zone)}."
    failed = f" {counted(tally.failed, 'chunk')} failed." if tally.failed else ""
    if not tally.drifted:
        return f"{_no_drift(run)}{_rounds(run)}{failed}"
    found = _found(run, off)
    if run.command == "drift-check" or run.dry:
        them = agree(tally.drifted, "it", "them")
        differ = agree(tally.drifted, "differs", "differ")
        repairs = f"`{apply_command(run)}` repairs {them}."
        if off and off.history_edited:
            repairs = f"History was edited: `{ASK_THE_LOG}` shows which rows are wrong; a rebuild takes them as right."
        return f"Drift: {found} {differ} from history; nothing was changed. {repairs}{failed}"
    found = f"Drift: {found} differed from history"
    if tally.unrepaired:
        still = agree(tally.unrepaired, "still differs", "still differ")
        return f"{found}; {tally.unrepaired:,} {still} after the repair.{failed}"
    how_many = f"{tally.repaired:,} of them " if tally.failed else agree(tally.drifted, "", "all ")
    followed = ""
    if off and off.history_edited:
        followed = f" History was edited, and balances follow it now: `{ASK_THE_LOG}` shows which rows are wrong."
    return f"{found}; {how_many}repaired and compared again.{followed}{_rounds(run)}{failed}"


def _found_so_far(run: Run, off: AmountsOff | None) -> str:
    if not run.tally.drifted:
        return ""
    return f" So far {_found(run, off)} {agree(run.tally.drifted, 'differs', 'differ')} from history."


def _no_drift(run: Run) -> str:
    if run.tally.failed:
        return "No drift in what could be compared."
    if not (run.tally.customers or run.tally.meters) and run.selection.whole:
        return f"{NO_CUSTOMERS} There was nothing to compare."
    what = "every balance" if run.selection.whole else "every balance that was compared"
    return f"No drift: {what} agrees with history."


def _found(run: Run, off: AmountsOff | None) -> str:
    tally = run.tally
    amounts = (off.meters, off.customers) if off else (Decimal(0), Decimal(0))
    parts = [
        counted(count, noun)
        + (f" (by {money(amount, off.currency)}{agree(count, '', ' in all')})" if off and amount else "")
        for count, noun, amount in zip(
            (tally.drifted_meters, tally.drifted_customers), ("meter", "customer"), amounts, strict=True
        )
        if count
    ]
    return " and ".join(parts)


def _rounds(run: Run) -> str:
    """Describe the later rounds, if anything was written while the run repaired."""
    tally = run.tally
    if not tally.compared_again:
        return ""
    found = f"later rounds found {tally.found_again:,} more, " if tally.found_again else ""
    return f" {counted(run.round, 'round')}: {found}the last found nothing among what was written meanwhile."
