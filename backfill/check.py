"""The two phases of a check, a chunk at a time: compare in one snapshot, keep findings, tally and cursor with it."""

from typing import Any, Final

from psycopg import Connection, Cursor

from backfill import comparison, runs
from backfill.comparison import COMPARE, Scope
from backfill.guard import guarded
from backfill.runs import Run
from backfill.session import retried, snapshot
from backfill.tally import Tally
from events.types import BIGINT_MAX
from projector.statements import statements

CHUNKS: Final = statements("backfill", "sql/chunks.sql")
WINDOW_ROWS: Final = 5  # meter keys in a window, most of which have a customer, for each key of the chunk size


def customers(connection: Connection[Any], run: Run) -> Run:
    """Check the next customers in key order, and the meters that history assigns to them."""
    return retried(lambda: _customers(connection, run))


def meters(connection: Connection[Any], run: Run) -> Run:
    """Check, in the next window of meter keys, the meters that history assigns to nobody."""
    return retried(lambda: _meters(connection, run))


def _customers(connection: Connection[Any], run: Run) -> Run:
    with snapshot(connection), connection.cursor() as cursor:
        keys = cursor.execute(CHUNKS["next_customers"], {"after": run.cursor, "size": run.chunk_size})
        ids = [customer_id for (customer_id,) in keys]
        if not ids:
            return runs.advance(cursor, run.next_phase())
        share = guarded(connection, run, ids[0], ids[-1], lambda: _compare_customers(cursor, run, ids))
        return runs.advance(cursor, run.at(ids[-1], share))


def _meters(connection: Connection[Any], run: Run) -> Run:
    with snapshot(connection), connection.cursor() as cursor:
        window = {"after": run.cursor, "rows": run.chunk_size * WINDOW_ROWS}
        (end,) = cursor.execute(CHUNKS["next_meter"], window).fetchone() or (None,)
        last = BIGINT_MAX if end is None else end
        share = guarded(connection, run, run.cursor, last, lambda: _compare_unassigned(cursor, run, last))
        behind = run.at(last, share)
        return runs.advance(cursor, behind.next_phase() if end is None else behind)


def _compare_customers(cursor: Cursor[Any], run: Run, ids: list[int]) -> Tally:
    scope = comparison.scope_of_customers(cursor, ids)
    share = comparison.tally_customers(cursor, scope, ids)
    if not share.drifted:
        return share
    comparison.keep_expected(cursor, scope)
    cursor.execute(COMPARE["compare_customers"], {"ids": ids})
    meters, customers = comparison.drifted_meters(cursor), comparison.drifted_customers(cursor)
    found = [
        *comparison.explain_meters(cursor, meters),
        *comparison.explain_customers(cursor, customers, meters),
    ]
    runs.keep(cursor, run, found)
    return share + Tally(findings=len(found))


def _compare_unassigned(cursor: Cursor[Any], run: Run, last: int) -> Tally:
    window = {"after": run.cursor, "last": last}
    scope = Scope.of(cursor.execute(CHUNKS["scope_unassigned"], window).fetchone())
    compared = len(scope.meters)
    share = Tally(meters=compared, meters_without_customer=compared)
    drifted = comparison.tally_meters(cursor, scope) if compared else 0
    if not drifted:
        return share
    comparison.keep_expected(cursor, scope)
    found = comparison.explain_meters(cursor, comparison.drifted_meters(cursor))
    runs.keep(cursor, run, found)
    return share + Tally(drifted_meters=drifted, findings=len(found))
