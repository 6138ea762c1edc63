"""Rounds: a run that repairs ends only when everything that was written meanwhile was compared once more and agrees.

The first round compares what the run covers and repairs what it finds, chunk by chunk and, for what involves several
chunks, at its end. While it runs, meters change hands: a meter may move from a customer that is not compared yet to one
that already is, and so be compared with neither; a damaged meter may move before it is repaired
(`backfill.audit.repair` says which customers are corrected with it); somebody may go on editing. Each of these writes
rows of the projection. So the second round compares, among what the run covers, every meter and customer whose rows
were written since the first round began, and repairs what it finds; the third compares what was written since the
second began; and so on. A round that finds nothing is the last.

The `xmin` of a row, the transaction that wrote it, tells which rows those are. When a round begins, the run stores the
least transaction id that is still in progress: a transaction that commits later, however long ago it began, has that id
or a greater one. Meters of a later round are paged by their own keys, so that none can move past.

Consumers preserve agreement: what agrees, and is changed by them alone, goes on to agree. So a clean last round need
not compare what was not written. That does not hold for what was found: a repair that wrote nothing, because something
in the database suppressed it, leaves no xmin. So a later round also compares what an earlier one found and could not
repair. If that comparison finds it equal, the finding is resolved; nothing else resolves it. What has not been compared
since its repair failed is reported as unrepaired when the run ends.

Damage that existed when the run began is found by the first round of a whole run or, where it moved past, by the
second; the third is then clean. Drift in the third round is repaired like any other, and fails the run: somebody goes
on editing, or something undoes the repair. A run that was resumed may find something once more, namely what could not
be repaired before the obstacle was removed, and must find nothing in the round that follows.

A limited run also compares again what it changed beyond its limits. A customer that is summed anew with one meter may
have other damaged meters, which may have belonged to another customer, who is then summed anew. Where all is damaged,
each round finds those one step further away although nobody edits. So the three rounds of a limited run are counted
from the last round that found any meter or customer that was new to the run. What was found and repaired goes on to
agree, and a customer that was summed anew differs again only through a damaged meter that was not known; so two rounds
that find only what was known before prove an edit here as well. This ends: each round at which the count starts anew
is the first to find some meter or customer, there are finitely many of them, no finding is deleted while the run
lasts, and between two such rounds there is at most one other.

A run in which a chunk failed proves nothing, and ends with its current round.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from psycopg import Connection, Cursor

from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Tally
from events.runtime import wording
from projector.database.statements import statements

SQL: Final = statements("backfill.runs", "rounds.sql")
ROUNDS_MAX: Final = 3  # repair; repair what moved past; find nothing. Of a limited run, since something new was found
GRANTED: Final = 1  # rounds after the one in which a process resumes a run, whatever was found before


def needed(cursor: Cursor[Any], run: Run) -> bool:
    """Tell whether a run that has finished a round, with all counts collected, needs another."""
    if not run.repairs or run.tally.failed:
        return False
    return run.round == 1 or _has_found(cursor, run)


def begin_next(cursor: Cursor[Any], run: Run) -> Run:
    """Move to the start of the next round, which compares once more whatever is not repaired."""
    cursor.execute(SQL["keep_unrepaired"], {"run_id": run.run_id})
    repeated = 0 if run.round == 1 or run.tally.fresh else run.tally.repeated + 1
    tally = replace(run.tally, unrepaired=0, fresh=0, repeated=repeated)
    return replace(run, round=run.round + 1, phase="customers", cursor=BEFORE_ALL_KEYS, tally=tally)


def too_many(run: Run) -> bool:
    """Tell whether a run that is about to begin a round has already used all the rounds it may have."""
    done = run.round - 1 if run.selection.whole else 1 + run.tally.repeated
    return done >= ROUNDS_MAX


def resolve_compared(cursor: Cursor[Any], run: Run, entity: str, ids: Sequence[int]) -> None:
    """Resolve the findings of earlier rounds on what is about to be compared; what still differs is found again."""
    if run.round > 1:
        where = {"run_id": run.run_id, "round": run.round, "entity": entity, "ids": list(ids)}
        cursor.execute(SQL["resolve_compared"], where)


def ended(cursor: Cursor[Any], run: Run) -> Tally:
    """Return the tally of a run whose last round found nothing, with what was not repaired nor compared again since."""
    if run.round == 1 or run.tally.failed:
        return run.tally
    return left_unrepaired(cursor, run)


def left_unrepaired(cursor: Cursor[Any], run: Run) -> Tally:
    """Return the tally with what the run has found, in whichever round, and neither repaired nor found equal since."""
    return replace(run.tally, unrepaired=sum(_unrepaired(cursor, run)))


def with_findings(cursor: Cursor[Any], run: Run, delta: Tally, findings: int) -> Tally:
    """Add a chunk's findings to its counts before they are stored: in a later round, those new to the run."""
    if run.round == 1:
        return delta + Tally(findings=findings)
    where = {"run_id": run.run_id, "round": run.round}
    findings, meters, customers, again = cursor.execute(SQL["count_new"], where).fetchone() or (0, 0, 0, 0)
    return replace(delta, findings=findings, drifted_meters=meters, drifted_customers=customers, found_again=again)


def counted(run: Run, delta: Tally) -> Tally:
    """Leave out of a later round's counts what the first round has already counted."""
    if run.round == 1:
        return delta
    return Tally(
        compared_again=delta.customers + delta.meters,
        found_again=delta.found_again,
        fresh=delta.drifted_meters + delta.drifted_customers,
        drifted_meters=delta.drifted_meters,
        drifted_customers=delta.drifted_customers,
        findings=delta.findings,
        repaired=delta.repaired,
        unrepaired=delta.unrepaired,
        failed=delta.failed,
        failures=delta.failures,
    )


def kept_coming(connection: Connection[Any], run: Run) -> str:
    """Say why a run needs one round too many: the last one found drift, or could not repair it."""
    meters, customers = _unrepaired(connection, run)
    if meters or customers:
        still = f"{_both(meters, customers)} still {wording.agree(meters + customers, 'differs', 'differ')}"
        return f"the repair does not hold: {still} in round {run.round - 1}; something undoes it"
    where = {"run_id": run.run_id, "round": run.round - 1}
    meters, customers = connection.execute(SQL["count_found_in_round"], where).fetchone() or (0, 0)
    found = f"{_both(meters, customers)} {wording.agree(meters + customers, 'was', 'were')} found"
    return f"drift keeps coming: {found} in round {run.round - 1} and repaired; somebody keeps editing"


def _both(meters: int, customers: int) -> str:
    parts = [wording.counted(count, noun) for count, noun in ((meters, "meter"), (customers, "customer")) if count]
    return " and ".join(parts) or "nothing"


def _unrepaired(connection: Connection[Any] | Cursor[Any], run: Run) -> tuple[int, int]:
    """Count the meters and customers that were found, were not repaired, and were not found equal since."""
    meters, customers = connection.execute(SQL["count_unrepaired"], {"run_id": run.run_id}).fetchone() or (0, 0)
    return meters, customers


def _has_found(cursor: Cursor[Any], run: Run) -> bool:
    where = {"run_id": run.run_id, "round": run.round}
    return cursor.execute(SQL["found_in_round"], where).fetchone() is not None
