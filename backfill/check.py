"""The two phases of a check, a chunk at a time: compare in one snapshot, keep findings, tally and cursor with it."""

from typing import Any, Final

from psycopg import Connection, Cursor

from backfill import comparison, runs
from backfill.comparison import COMPARE, RECOMPUTE
from backfill.guard import guarded
from backfill.runs import Run
from backfill.session import retried, snapshot
from backfill.tally import Tally
from events.types import BIGINT_MAX
from projector.statements import statements

CHUNKS: Final = statements("backfill", "sql/chunks.sql")
WINDOW_ROWS: Final = 20  # rows of each table in a window of meter keys, for each key of the chunk size


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
    cursor.execute(RECOMPUTE["scope_by_customer"], {"ids": ids})
    compared = comparison.expect(cursor)
    cursor.execute(COMPARE["compare_customers"], {"ids": ids})
    totals = cursor.execute(COMPARE["customer_totals"])
    names = [column.name for column in totals.description or ()]
    counts = dict(zip(names, totals.fetchone() or (), strict=True))
    drifted = comparison.drifted_meters(cursor)
    off = comparison.drifted_customers(cursor)
    found = [
        *comparison.explain_meters(cursor, drifted),
        *comparison.explain_customers(cursor, off, drifted),
    ]
    runs.keep(cursor, run, found)
    return Tally(
        **counts, meters=compared, drifted_meters=len(drifted), drifted_customers=len(off), findings=len(found)
    )


def _compare_unassigned(cursor: Cursor[Any], run: Run, last: int) -> Tally:
    cursor.execute(CHUNKS["scope_unassigned"], {"after": run.cursor, "last": last})
    compared = comparison.expect(cursor)
    drifted = comparison.drifted_meters(cursor)
    found = comparison.explain_meters(cursor, drifted)
    runs.keep(cursor, run, found)
    return Tally(meters=compared, meters_without_customer=compared, drifted_meters=len(drifted), findings=len(found))
