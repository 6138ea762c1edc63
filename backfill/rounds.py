"""Rounds: a run that repairs ends only when whatever was touched meanwhile has been compared once more and agrees.

The first round compares what the run covers, and repairs what it finds. While it does, meters change hands: one may
move from a customer that is not compared yet to one that is, and so be compared with neither; one that is damaged may
move before it is repaired (`backfill.repair` says who then comes right with it); a hand may go on editing. Each of
these writes rows of the projection. So the second round compares, among what the run covers, every meter and customer
whose rows were written since the first began, and repairs what it finds; a third compares what was written since the
second began; and so on. A round that finds nothing is the last one.

Which rows those are says their `xmin`, the transaction that wrote them. When a round begins, the run keeps the least
transaction id that is still at work: whoever commits later, however long ago he began, has that id or a greater one.
The meters of a later round are paged by their own keys, so that none can move past.

Consumers keep agreement: what agrees and is changed by them alone goes on to agree, so what a clean last round did not
look at need not be looked at. Damage that was there when the run began is found by the first round or, where it moved
past, by the second; the third is then clean. Drift in the last round that is allowed is repaired like any other, and
fails the run: somebody goes on editing. Resumed, it goes on with one more round.

A limited run also compares again what it changed beyond its limits, because a customer that is summed anew with one
meter may have others that are damaged. A run in which a chunk failed proves nothing in any case, and ends with the
round at hand.
"""

from dataclasses import replace
from typing import Any, Final

from psycopg import Connection, Cursor

from backfill.phases import PHASES
from backfill.runs import BEFORE_ALL_KEYS, SQL, Run
from backfill.tally import Tally

ROUNDS_MAX: Final = 3  # repair, repair what moved past meanwhile, find nothing


def needed(cursor: Cursor[Any], run: Run) -> bool:
    """Tell whether a run that has come to the end of a round, with everything tallied, needs another."""
    if run.dry or "repair-meters" not in PHASES[run.command] or run.tally.failed:
        return False
    return run.round == 1 or _has_found(cursor, run)


def begin_next(run: Run) -> Run:
    """Stand before the first key of the next round, which will find again whatever is not repaired."""
    tally = replace(run.tally, unrepaired=0)
    return replace(run, round=run.round + 1, phase="customers", cursor=BEFORE_ALL_KEYS, tally=tally)


def settle(cursor: Cursor[Any], run: Run) -> None:
    """End a run whose last round found nothing: what a repair could not put right has come right since."""
    if run.round > 1 and not run.tally.failed:
        cursor.execute(SQL["settle_rest"], {"run_id": run.run_id})


def with_findings(cursor: Cursor[Any], run: Run, share: Tally, findings: int) -> Tally:
    """Count a chunk's findings before they are kept: in a later round, those of which the run knew nothing."""
    if run.round == 1:
        return share + Tally(findings=findings)
    where = {"run_id": run.run_id, "round": run.round}
    findings, meters, customers, again = cursor.execute(SQL["count_new"], where).fetchone() or (0, 0, 0, 0)
    return replace(share, findings=findings, drifted_meters=meters, drifted_customers=customers, found_again=again)


def counted(run: Run, share: Tally) -> Tally:
    """Leave out of a later round's share what the first has counted of everything."""
    if run.round == 1:
        return share
    return Tally(
        compared_again=share.customers + share.meters,
        found_again=share.found_again,
        drifted_meters=share.drifted_meters,
        drifted_customers=share.drifted_customers,
        findings=share.findings,
        repaired=share.repaired,
        unrepaired=share.unrepaired,
        failed=share.failed,
        failures=share.failures,
    )


def kept_coming(connection: Connection[Any], run: Run) -> str:
    """Say of a run that stands before one round too many that the last one found drift."""
    where = {"run_id": run.run_id, "round": run.round - 1}
    meters, customers = connection.execute(SQL["count_found_in_round"], where).fetchone() or (0, 0)
    return (
        f"drift keeps coming: {meters:,} meters and {customers:,} customers were found in round {run.round - 1} and "
        "repaired; somebody goes on editing"
    )


def _has_found(cursor: Cursor[Any], run: Run) -> bool:
    where = {"run_id": run.run_id, "round": run.round}
    return cursor.execute(SQL["found_in_round"], where).fetchone() is not None
