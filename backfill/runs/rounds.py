"""Rounds: a run that repairs ends only when whatever was touched meanwhile has been compared once more and agrees.

The first round compares what the run covers, and repairs what it finds. While it does, meters change hands: one may
move from a customer that is not compared yet to one that is, and so be compared with neither; one that is damaged may
move before it is repaired (`backfill.audit.repair` says who then comes right with it); a hand may go on editing. Each
of these writes rows of the projection. So the second round compares, among what the run covers, every meter and
customer whose rows were written since the first began, and repairs what it finds; a third compares what was written
since the second began; and so on. A round that finds nothing is the last one.

Which rows those are says their `xmin`, the transaction that wrote them. When a round begins, the run keeps the least
transaction id that is still at work: whoever commits later, however long ago he began, has that id or a greater one.
The meters of a later round are paged by their own keys, so that none can move past.

Consumers keep agreement: what agrees and is changed by them alone goes on to agree, so what a clean last round did not
look at need not be looked at. That holds of what agreed, not of what was found: a repair that wrote nothing, because
something in the database suppressed it, leaves no xmin. So a later round also compares what an earlier one found and
could not repair. What it finds equal by then is settled in that comparison, and nothing else is: whatever has been
compared by nobody since its repair failed is told as unrepaired when the run ends.

Damage that was there when the run began is found by the first round of a whole run or, where it moved past, by the
second; the third is then clean. Drift in the third is repaired like any other, and fails the run: somebody goes on
editing, or something undoes the repair. Resumed, it may find something once more, which is what could not be repaired
before the cause was gone, and nothing in the round that follows.

A limited run also compares again what it changed beyond its limits, because a customer that is summed anew with one
meter may have others that are damaged, and those may have been somebody else's, who is then summed anew. Where all is
damaged, each round finds those one step further away, and nobody edits. So the three of a limited run are counted from
the last round that found any meter or customer that the run did not know. What was found and repaired goes on to agree,
and a customer that was summed anew is off again only by a meter that is damaged and was not known, so two rounds that
find only what was known tell of an edit here as well. It ends: a round from which is counted anew is the first of this
run to find some meter or customer; there are finitely many, no finding is forgotten while the run lasts, and between
two such rounds there is one at most.

A run in which a chunk failed proves nothing in any case, and ends with the round at hand.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from psycopg import Connection, Cursor

from backfill.runs.phases import PHASES
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Tally
from projector.database.statements import statements

SQL: Final = statements("backfill.runs", "rounds.sql")
ROUNDS_MAX: Final = (
    3  # repair, repair what moved past meanwhile, find nothing; of a limited run, since something new was found
)
GRANTED: Final = 1  # rounds after the one in which a process takes a run up, whatever was found before


def needed(cursor: Cursor[Any], run: Run) -> bool:
    """Tell whether a run that has come to the end of a round, with everything tallied, needs another."""
    if run.dry or "repair-meters" not in PHASES[run.command] or run.tally.failed:
        return False
    return run.round == 1 or _has_found(cursor, run)


def begin_next(cursor: Cursor[Any], run: Run) -> Run:
    """Stand before the first key of the next round, which compares whatever is not repaired once more."""
    cursor.execute(SQL["keep_unrepaired"], {"run_id": run.run_id})
    repeated = 0 if run.round == 1 or run.tally.fresh else run.tally.repeated + 1
    tally = replace(run.tally, unrepaired=0, fresh=0, repeated=repeated)
    return replace(run, round=run.round + 1, phase="customers", cursor=BEFORE_ALL_KEYS, tally=tally)


def too_many(run: Run) -> bool:
    """Tell of a run that stands before a round whether those before it were all that are allowed."""
    done = run.round - 1 if run.selection.whole else 1 + run.tally.repeated
    return done >= ROUNDS_MAX


def resolve_compared(cursor: Cursor[Any], run: Run, entity: str, ids: Sequence[int]) -> None:
    """Take what is about to be compared once more for right, before what is found of it is kept."""
    if run.round > 1:
        where = {"run_id": run.run_id, "round": run.round, "entity": entity, "ids": list(ids)}
        cursor.execute(SQL["resolve_compared"], where)


def ended(cursor: Cursor[Any], run: Run) -> Tally:
    """Tally a run whose last round found nothing: what was not repaired, nor compared again since, is not repaired."""
    if run.round == 1 or run.tally.failed:
        return run.tally
    return replace(run.tally, unrepaired=sum(_unrepaired(cursor, run)))


def with_findings(cursor: Cursor[Any], run: Run, delta: Tally, findings: int) -> Tally:
    """Count a chunk's findings before they are kept: in a later round, those of which the run knew nothing."""
    if run.round == 1:
        return delta + Tally(findings=findings)
    where = {"run_id": run.run_id, "round": run.round}
    findings, meters, customers, again = cursor.execute(SQL["count_new"], where).fetchone() or (0, 0, 0, 0)
    return replace(delta, findings=findings, drifted_meters=meters, drifted_customers=customers, found_again=again)


def counted(run: Run, delta: Tally) -> Tally:
    """Leave out of a later round's share what the first has counted of everything."""
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
    """Say of a run that stands before one round too many that the last one found drift, or could not repair it."""
    meters, customers = _unrepaired(connection, run)
    if meters or customers:
        still = f"{meters:,} meters and {customers:,} customers still differ"
        return f"the repair does not hold: {still} in round {run.round - 1}; something undoes it"
    where = {"run_id": run.run_id, "round": run.round - 1}
    meters, customers = connection.execute(SQL["count_found_in_round"], where).fetchone() or (0, 0)
    return (
        f"drift keeps coming: {meters:,} meters and {customers:,} customers were found in round {run.round - 1} and "
        "repaired; somebody goes on editing"
    )


def _unrepaired(connection: Connection[Any] | Cursor[Any], run: Run) -> tuple[int, int]:
    """Count the meters and customers that were found and not repaired, nor found to be right since."""
    meters, customers = connection.execute(SQL["count_unrepaired"], {"run_id": run.run_id}).fetchone() or (0, 0)
    return meters, customers


def _has_found(cursor: Cursor[Any], run: Run) -> bool:
    where = {"run_id": run.run_id, "round": run.round}
    return cursor.execute(SQL["found_in_round"], where).fetchone() is not None
