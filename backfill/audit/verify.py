"""The proof of a repair: what a chunk repaired is compared once more, in a new snapshot."""

from collections.abc import Sequence
from typing import Any

from psycopg import Cursor

from backfill.audit import comparison
from backfill.audit.comparison import COMPARE
from backfill.runs.store import SQL, Run
from backfill.runs.tally import Tally


def verify_meters(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare repaired meters."""
    comparison.keep_expected(cursor, comparison.scope_of_meters(cursor, ids))
    still = [drift.meter_id for page in comparison.drifted_meters(cursor) for drift in page]
    return _still(cursor, run, "meter", still)


def verify_customers(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare repaired customers."""
    for meters in comparison.candidates(cursor, ids):
        comparison.keep_expected(cursor, comparison.scope_of_customers(cursor, ids, meters))
    cursor.execute(COMPARE["compare_customers"], {"ids": list(ids)})
    still = [drift.customer_id for page in comparison.drifted_customers(cursor) for drift in page]
    return _still(cursor, run, "customer", still)


def _still(cursor: Cursor[Any], run: Run, entity: str, still: Sequence[int]) -> Tally:
    """Take back that they were repaired."""
    cursor.execute(SQL["unmark_repaired"], {"run_id": run.run_id, "entity": entity, "ids": list(still)})
    return Tally(unrepaired=len(still))
