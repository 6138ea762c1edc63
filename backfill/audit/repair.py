"""Repairs what a run found drifted, while consumers run, in short READ COMMITTED transactions.

Locks are taken in the order that consumers use: history rows, then meter rows, then customer rows, each by key; the
clock of assignments, shared, before the assignments. Every figure is computed in a statement that begins after the lock
that covers it is held. A consumer locks its history rows first and its meter rows next, so in the middle of a batch it
is in one of these states:

- It holds a history row that the repair needs, and no meter row yet. The repair waits until it commits, then reads the
  row's mark anew. If the mark agrees by then, the row is left as it is.
- It waits for a history row that the repair holds. After the repair commits it reads the new mark and adds the
  difference to it.
- It holds other history rows and waits for a meter row that the repair holds. Its rows are not visible to the repair,
  which writes the sum of the *marks* that are committed. The consumer's increment is measured from the same marks and
  is added to the repaired figure once the repair commits. Assignments and latest dates it computes under the meter's
  lock.
- It holds the meter row. The repair waits, and all that the consumer did is committed when the repair adds up.

The same holds for customers. The sum over the committed meter rows is taken under the customer's lock: a transaction
that changes one of those meters either adds its change to the customer's row after the repair, or has committed before.

A damaged meter may be moved after it was compared. Then the customer that had it, and was found correct, loses what the
meter's row said. A move takes the row's figures from one customer and gives them to the other, so each customer's
error (its row less the sum over the meter rows that name it) stays as it was. Damage changes that error once, for the
customer that the row names at that moment, and so does correcting the row, for the customer that it names then. So
these customers are locked and summed anew with a meter, after it and by key like all others: the one that its row named
and the one that it belonged to by history when it was compared, which the finding stores; the one that it names now;
and each that ever had it by assignments that still exist. A customer that had it in between gained and lost the same.

The totals written are sums of marks and not of history: under the locks of the history rows both are made equal, but
only the marks are what later increments subtract. A mark that is moved takes the meter that it leaves and the one that
it reaches into the repair, whichever chunk they belong to. At most `ENTITIES_MAX` meters and as many customers are
locked at once: a chunk that needs more is halved, down to a single meter or customer. What a single one needs, and the
history rows that disagree, are locked together, however many they are.

A chunk that was compared is repaired before another is begun (`repair_found_of_customers`, `repair_found_meters`), so a
run that is cancelled halfway has repaired half. Nothing above asks that other chunks be compared first. The report
does: it has to name what a check of the same database names, in whatever order the chunks are processed and by however
many workers. So this repair writes nothing that a chunk to come reads. It leaves out

- a meter with a history row that counts at one meter and is marked at another: the repair would set both;
- a meter that any customer beyond the chunk has or had: the repair would sum that customer anew. (In the phase of the
  meters that have no customer, all customers are compared already.)
- a customer under which a meter is shown that history assigns elsewhere, and the meters of that customer: whether the
  customer's row counts the meter tells, once its rightful customer is compared, what was edited.

What is left out, what would lock too much, and what PostgreSQL refuses is repaired by the phases that repair, once all
chunks of the round are compared. A finding is marked as repaired when it was compared once more and found equal.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from psycopg import Cursor

from backfill.audit import check, comparison
from backfill.runs.chunks import Chunk
from backfill.runs.in_effect import PARTS
from backfill.runs.store import Run
from backfill.runs.tally import Tally
from events.contract.limits import BIGINT_MAX
from projector.database.statements import statements

SQL: Final = statements("backfill.audit", "repair.sql", **PARTS)
ENTITIES_MAX: Final = 1000  # locked at once: consumers of these rows wait while a repair holds them

SUMMED_MAX: Final = 20_000  # meter rows read for the sums of all customers of a repair except the largest


class TooManyError(Exception):
    """A repair would lock more rows than consumers should wait for: the chunk is to be halved."""


def next_drifted_end(entity: str) -> Callable[[Cursor[Any], Run, int], int | None]:
    """Find where the next chunk of drifted meters or customers ends."""
    return lambda cursor, run, size: max(
        check.drifted(cursor, run, entity, (run.cursor, BIGINT_MAX), min(size, ENTITIES_MAX)), default=None
    )


def drifted(entity: str) -> Callable[[Cursor[Any], Run, Chunk], Sequence[int]]:
    """Read what the run found drifted in a chunk, in key order."""
    return lambda cursor, run, chunk: check.drifted(cursor, run, entity, (chunk.after, chunk.last), None)


def repair_meters(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Repair these meters, and the customers whose sums they are part of."""
    comparison.add_meters_to_scope(cursor, ids)
    comparison.find_disagreements(cursor)
    cursor.execute(SQL["add_owners_when_compared"], {"run_id": run.run_id, "ids": list(ids)})
    _weigh(cursor, ids)
    _record_affected(cursor, run, recompute(cursor))
    return Tally()


def repair_customers(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally | None:
    """Repair these customers, and the misassigned meters: shown under them, but assigned to others by history.

    A limited run has not compared those meters, and no sum can be correct while they are shown there. There may be very
    many: None says that some of them are repaired, and that the chunk is to be processed again.
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
        add_customers(cursor, ids)  # something undoes it: the comparison reports that
        customers += _set_customers(cursor)
    _record_affected(cursor, run, customers)
    return Tally()


def repair_found_of_customers(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Repair, of what the comparison of these customers found, what no other chunk has to do with."""
    found = check.found_of_customers(cursor, run, ids)
    return _repair_separable(cursor, run, ids, found, among=comparison.array(ids))


def repair_found_meters(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Repair, of what the comparison of these meters found, what no other chunk has to do with."""
    return _repair_separable(cursor, run, ids, (check.found(cursor, run, "meter", ids), []), among=None)


def _repair_separable(
    cursor: Cursor[Any], run: Run, ids: Sequence[int], found: tuple[Sequence[int], Sequence[int]], *, among: str | None
) -> Tally:
    """Repair what is separable of the meters and customers found; `among` are the customers that it may touch."""
    meters, customers = found
    if len(ids) > 1 and max(len(meters), len(customers)) > ENTITIES_MAX:
        raise TooManyError
    comparison.add_meters_to_scope(cursor, meters[:ENTITIES_MAX])
    comparison.find_disagreements(cursor)
    cursor.execute(SQL["keep_separable"], {"run_id": run.run_id, "among": among})
    kept = [meter_id for (meter_id,) in cursor.execute(SQL["forget_other_rows"])]
    cursor.execute(SQL["add_owners_when_compared"], {"run_id": run.run_id, "ids": kept})
    cursor.execute(SQL["add_separable_customers"], {"ids": list(customers)})
    _weigh(cursor, ids)
    _record_affected(cursor, run, recompute(cursor))
    return Tally()


def recompute(cursor: Cursor[Any], amend: Callable[[], None] | None = None) -> list[int]:
    """Lock the disagreeing history rows and set their marks; then lock and set the scope's meters, then customers.

    `amend` changes history rows that are among the disagreements, after they are locked and before their marks are set.

    Returns:
        The customers whose rows that changed.

    """
    for name in ("lock_invoices", "lock_payments", "lock_clock", "lock_assignments"):
        cursor.execute(SQL[name])
    if amend:
        amend()
    for name in ("mark_invoices", "mark_payments", "mark_assignments"):
        cursor.execute(SQL[name])
    lock_meters(cursor)
    cursor.execute(SQL["add_owners"])
    comparison.sum_marks(cursor)
    cursor.execute(SQL["set_meters"])
    return _set_customers(cursor)


def _weigh(cursor: Cursor[Any], ids: Sequence[int]) -> None:
    """Count, before anything is locked, whether a repair of several entities would lock or read too much at once.

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


def _record_affected(cursor: Cursor[Any], run: Run, customers: Sequence[int]) -> None:
    """Store what else a limited run changed, in the transaction that changed it."""
    if not run.selection.whole:
        cursor.execute(SQL["record_affected"], {"run_id": run.run_id, "customers": list(customers)})
