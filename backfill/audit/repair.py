"""Repair what a run found drifted, beside live consumers, in short READ COMMITTED transactions.

Locks are taken in everyone's order: history rows, then meter rows, then customer rows, each by key. Every figure is
computed in a statement begun after the lock that covers it is held. Consumers lock history rows first and meter rows
next, so one that is in the middle of a batch is at one of these places:

- It holds a history row that we need, and no meter row yet: we wait, it commits, and the row's mark is read anew. If
  it agrees by then, the row is left alone.
- It waits for a history row that we hold: it reads our mark once we commit, and adds the difference to that.
- It holds history rows that are none of ours and waits for a meter's row that we hold. Its rows are not yet visible
  to us: we write the sum of the *marks* that are committed, its increment is measured from the very same marks, and
  lands on our figure once we commit. An assignment and the latest dates it settles itself, under the meter's lock.
- It holds the meter's row: we wait, and all it did is committed when we add up.

The same holds for customers: the sum over the committed meter rows is taken under the customer's lock, and whoever
changes one of those meters adds his change to the customer's row after us, or has committed before us.

A damaged meter may be moved after it was compared, and whoever had it then, found well, loses what its row said. What
a consumer takes and gives is what the row says, so no move changes by how much a customer's row differs from the sum
over the meter rows that name it: damage does, once, for whoever the row names at that moment, and so does setting the
row right, for whoever it names then. So with a meter these customers are locked and summed anew, after it and by key
like all others: whom its row named and whose it was by history when it was compared, which stands with the finding;
whom it names now; and whoever ever had it by assignments that are still there. Who had it in between gained and lost
the same.

The totals written are sums of marks and not of history: under the marks' locks both are made equal, but only the
marks are what later increments subtract. A mark that moved takes the meter it left and the one it reached into the
repair, whichever chunk they belong to. No more than `ENTITIES_MAX` meters, and as many customers, are held at once:
where a chunk drags in more it is halved, down to a single meter or customer. What a single one drags in, and the
history rows that disagree, are held together, however many they are.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from psycopg import Cursor

from backfill.audit import check, comparison
from backfill.runs import drift
from backfill.runs.chunks import Chunk
from backfill.runs.store import Run
from backfill.runs.tally import Tally
from events.contract.types import BIGINT_MAX
from projector.database.statements import statements

SQL: Final = statements("backfill.audit", "repair.sql")
ENTITIES_MAX: Final = 1000  # locked at once: consumers of these meters wait while a repair holds them

SUMMED_MAX: Final = 20_000  # meter rows read for the sums of all customers of a repair but the largest


class TooManyError(Exception):
    """A repair would hold more rows than consumers should wait for: it is to be done in halves."""


def next_drifted_end(entity: str) -> Callable[[Cursor[Any], Run, int], int | None]:
    """Find where the next chunk of drifted meters or customers ends."""
    return lambda cursor, run, size: max(
        check.drifted(cursor, run, entity, (run.cursor, BIGINT_MAX), min(size, ENTITIES_MAX)), default=None
    )


def drifted(entity: str) -> Callable[[Cursor[Any], Run, Chunk], Sequence[int]]:
    """Read what the run found drifted in a chunk, in key order."""
    return lambda cursor, run, chunk: check.drifted(cursor, run, entity, (chunk.after, chunk.last), None)


def repair_meters(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Repair these meters, with the customers whose sums they are part of."""
    comparison.add_meters_to_scope(cursor, ids)
    comparison.find_disagreements(cursor)
    cursor.execute(SQL["add_owners_when_compared"], {"run_id": run.run_id, "ids": list(ids)})
    _weigh(cursor, ids)
    return _repaired(cursor, run, "meter", ids, recompute(cursor))


def repair_customers(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally | None:
    """Repair these customers, and the meters that are shown under them and that history gives to somebody else.

    A run that is limited has not compared those, and no sum comes right with them. There may be very many: None says
    that some of them are repaired, and that the chunk is to be done again.
    """
    misassigned = cursor.execute(SQL["scope_misassigned"], {"ids": list(ids), "size": ENTITIES_MAX}).rowcount
    if misassigned < ENTITIES_MAX:
        add_customers(cursor, ids)
    comparison.find_disagreements(cursor)
    _weigh(cursor, ids)
    customers = recompute(cursor)
    if misassigned >= ENTITIES_MAX:
        (left,) = cursor.execute(SQL["any_misassigned"], {"ids": list(ids)}).fetchone() or (True,)
        if not left:
            _record_affected(cursor, run, customers)
            return None
        add_customers(cursor, ids)  # somebody undoes it: let the proof tell
        customers += _set_customers(cursor)
    return _repaired(cursor, run, "customer", ids, customers)


def recompute(cursor: Cursor[Any], amend: Callable[[], None] | None = None) -> list[int]:
    """Hold the disagreeing history rows, mark them, then hold and set the scope's meters, then their customers.

    `amend` changes history rows that are among the disagreements, between the moment they are held and their marks.

    Returns:
        The customers whose rows that changed.

    """
    for name in ("lock_invoices", "lock_payments"):
        cursor.execute(SQL[name])
    if amend:
        amend()
    for name in ("mark_invoices", "mark_payments"):
        cursor.execute(SQL[name])
    lock_meters(cursor)
    cursor.execute(SQL["add_owners"])
    comparison.sum_marks(cursor)
    cursor.execute(SQL["set_meters"])
    return _set_customers(cursor)


def _weigh(cursor: Cursor[Any], ids: Sequence[int]) -> None:
    """Look, before anything is held, whether a repair of several entities would hold or read too much at once.

    Raises:
        TooManyError: it would.

    """
    meters, customers, summed = cursor.execute(SQL["weigh"]).fetchone() or (0, 0, 0)
    if len(ids) > 1 and (max(meters, customers) > ENTITIES_MAX or summed > SUMMED_MAX):
        raise TooManyError


def lock_meters(cursor: Cursor[Any]) -> None:
    """Lock the scope's meter rows in key order, inserting those that are missing."""
    cursor.execute(SQL["lock_meters"])


def add_customers(cursor: Cursor[Any], ids: Sequence[int]) -> None:
    """Add customers to those whose rows are locked and set."""
    cursor.execute(SQL["add_customers"], {"ids": list(ids)})


def lock_customers(cursor: Cursor[Any]) -> None:
    """Lock the affected customers' rows in key order, inserting those that are missing."""
    cursor.execute(SQL["lock_customers"])


def _set_customers(cursor: Cursor[Any]) -> list[int]:
    lock_customers(cursor)
    return [customer_id for (customer_id,) in cursor.execute(SQL["set_customers"])]


def _repaired(cursor: Cursor[Any], run: Run, entity: str, ids: Sequence[int], customers: Sequence[int]) -> Tally:
    """Say so in the repair's own transaction, and what else a limited run touched."""
    _record_affected(cursor, run, customers)
    drift.mark_repaired(cursor, run, entity, ids)
    return Tally(repaired=len(ids))


def _record_affected(cursor: Cursor[Any], run: Run, customers: Sequence[int]) -> None:
    if not run.selection.whole:
        cursor.execute(SQL["record_affected"], {"run_id": run.run_id, "customers": list(customers)})
