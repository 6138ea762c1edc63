"""How much of what a run found it has repaired by now, if it has not finished."""

from backfill.runs.store import Run
from events.runtime.wording import counted


def so_far(run: Run) -> str:
    """Return a sentence that begins with a space; empty for a run that has finished, found nothing, or repairs nothing.

    What is left is known of a cancelled run. Any other may repair it yet.
    """
    tally = run.tally
    if run.state == "finished" or not (run.repairs and tally.drifted):
        return ""
    meters, customers = counted(tally.drifted_meters, "meter"), counted(tally.drifted_customers, "customer")
    if run.state == "cancelled":
        repaired = f"{tally.drifted - tally.unrepaired:,} of them repaired, {tally.unrepaired:,} left as they were"
    else:
        repaired = f"{min(tally.repaired, tally.drifted):,} of them repaired so far"
    return f" {meters} and {customers} differed; {repaired}."
