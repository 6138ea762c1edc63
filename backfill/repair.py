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

The totals written are sums of marks and not of history: under the marks' locks both are made equal, but only the
marks are what later increments subtract. A mark that moved takes the meter it left and the one it reached into the
repair, whichever chunk they belong to.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection, Cursor

from backfill import comparison, runs, tally
from backfill.comparison import EVIDENCE
from backfill.runs import SQL, Run
from backfill.session import RETRIED, reason, retried
from backfill.tally import Tally
from projector.statements import statements

REPAIR: Final = statements("backfill", "sql/repair.sql")
ENTITIES_MAX: Final = 1000  # locked at once: consumers of these meters wait while a repair holds them
REFUSED_VALUES: Final = ("22", "23")  # SQLSTATE classes: some one row's value is at fault, so the others may go in

_log = structlog.get_logger()


def meters(connection: Connection[Any], run: Run) -> Run:
    """Repair the next drifted meters in key order, with the customers whose sums they are part of."""
    return _next(connection, run, "meter", _repair_meters)


def customers(connection: Connection[Any], run: Run) -> Run:
    """Repair the next drifted customers in key order."""
    return _next(connection, run, "customer", _repair_customers)


def drifted(cursor: Cursor[Any], run: Run, entity: str) -> list[int]:
    """Read the next keys of what the run found drifted."""
    where = {"run_id": run.run_id, "entity": entity, "after": run.cursor, "size": min(run.chunk_size, ENTITIES_MAX)}
    return [entity_id for (entity_id,) in cursor.execute(SQL["drifted_entities"], where)]


Repair = Callable[[Cursor[Any], Sequence[int]], None]


def _next(connection: Connection[Any], run: Run, entity: str, repair: Repair) -> Run:
    with connection.transaction(), connection.cursor() as cursor:
        ids = drifted(cursor, run, entity)
        if not ids:
            return runs.advance(cursor, run.next_phase())
    return _narrowed(connection, run, entity, ids, repair)


def _narrowed(connection: Connection[Any], run: Run, entity: str, ids: list[int], repair: Repair) -> Run:
    """Repair these; where PostgreSQL refuses some value, halve them until the one at fault stands alone."""
    try:
        return retried(lambda: _transaction(connection, run, entity, ids, repair))
    except RETRIED:
        raise
    except psycopg.Error as error:
        if connection.closed:
            raise
        refused = error
    if len(ids) > 1 and (refused.sqlstate or "").startswith(REFUSED_VALUES):
        half = len(ids) // 2
        run = _narrowed(connection, run, entity, ids[:half], repair)
        return _narrowed(connection, run, entity, ids[half:], repair)
    _log.error("repair failed", phase=run.phase, first=ids[0], last=ids[-1], reason=reason(refused))
    with connection.transaction(), connection.cursor() as cursor:
        return runs.advance(cursor, run.at(ids[-1], tally.failure(run.phase, ids[0], ids[-1], reason(refused))))


def _transaction(connection: Connection[Any], run: Run, entity: str, ids: list[int], repair: Repair) -> Run:
    with connection.transaction(), connection.cursor() as cursor:
        repair(cursor, ids)
        cursor.execute(SQL["mark_repaired"], {"run_id": run.run_id, "entity": entity, "ids": ids})
        return runs.advance(cursor, run.at(ids[-1], Tally(repaired=len(ids))))


def _repair_meters(cursor: Cursor[Any], ids: Sequence[int]) -> None:
    cursor.execute(EVIDENCE["scope_drifted"], {"ids": list(ids)})
    comparison.find_disagreements(cursor)
    recompute(cursor)


def recompute(cursor: Cursor[Any], amend: Callable[[], None] | None = None) -> None:
    """Hold the disagreeing history rows, mark them, then hold and set the scope's meters, then their customers.

    `amend` changes history rows that are among the disagreements, between the moment they are held and their marks.
    """
    for name in ("lock_invoices", "lock_payments"):
        cursor.execute(REPAIR[name])
    if amend:
        amend()
    for name in ("mark_invoices", "mark_payments"):
        cursor.execute(REPAIR[name])
    cursor.execute(REPAIR["lock_meters"])
    cursor.execute(REPAIR["touch_recorded_customers"])
    cursor.execute(EVIDENCE["sum_marks"])
    cursor.execute(REPAIR["set_meters"])
    _set_customers(cursor)


def _repair_customers(cursor: Cursor[Any], ids: Sequence[int]) -> None:
    cursor.execute(REPAIR["touch_customers"], {"ids": list(ids)})
    _set_customers(cursor)


def _set_customers(cursor: Cursor[Any]) -> None:
    cursor.execute(REPAIR["lock_customers"])
    cursor.execute(REPAIR["set_customers"])
