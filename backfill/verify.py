"""The proof of a repair: what was repaired is compared once more, in a new snapshot."""

from typing import Any

from psycopg import Connection, Cursor

from backfill import comparison, repair, runs
from backfill.comparison import COMPARE
from backfill.guard import guarded
from backfill.runs import SQL, Run
from backfill.session import retried, snapshot
from backfill.tally import Tally


def meters(connection: Connection[Any], run: Run) -> Run:
    """Compare the next repaired meters."""
    return retried(lambda: _meters(connection, run))


def customers(connection: Connection[Any], run: Run) -> Run:
    """Compare the next repaired customers."""
    return retried(lambda: _customers(connection, run))


def _meters(connection: Connection[Any], run: Run) -> Run:
    with snapshot(connection), connection.cursor() as cursor:
        ids = repair.drifted(cursor, run, "meter")
        if not ids:
            return runs.advance(cursor, run.next_phase())
        share = guarded(connection, run, ids[0], ids[-1], lambda: _compare_meters(cursor, run, ids))
        return runs.advance(cursor, run.at(ids[-1], share))


def _customers(connection: Connection[Any], run: Run) -> Run:
    with snapshot(connection), connection.cursor() as cursor:
        ids = repair.drifted(cursor, run, "customer")
        if not ids:
            return runs.advance(cursor, run.next_phase())
        share = guarded(connection, run, ids[0], ids[-1], lambda: _compare_customers(cursor, run, ids))
        return runs.advance(cursor, run.at(ids[-1], share))


def _compare_meters(cursor: Cursor[Any], run: Run, ids: list[int]) -> Tally:
    comparison.keep_expected(cursor, comparison.scope_of_meters(cursor, ids))
    still = [drift.meter_id for drift in comparison.drifted_meters(cursor)]
    cursor.execute(SQL["unmark_repaired"], {"run_id": run.run_id, "entity": "meter", "ids": still})
    return Tally(unrepaired=len(still))


def _compare_customers(cursor: Cursor[Any], run: Run, ids: list[int]) -> Tally:
    comparison.keep_expected(cursor, comparison.scope_of_customers(cursor, ids))
    cursor.execute(COMPARE["compare_customers"], {"ids": ids})
    still = [drift.customer_id for drift in comparison.drifted_customers(cursor)]
    cursor.execute(SQL["unmark_repaired"], {"run_id": run.run_id, "entity": "customer", "ids": still})
    return Tally(unrepaired=len(still))
