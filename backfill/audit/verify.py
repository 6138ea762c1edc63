"""Compares what a chunk repaired once more, in a new snapshot."""

from collections.abc import Sequence
from typing import Any

from psycopg import Cursor

from backfill.audit import comparison
from backfill.runs import drift
from backfill.runs.store import Run
from backfill.runs.tally import Tally


def verify_meters(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare repaired meters."""
    comparison.keep_expected(cursor, comparison.scope_of_meters(cursor, ids))
    still = [each.meter_id for page in comparison.drifted_meters(cursor) for each in page]
    return _still(cursor, run, "meter", still)


def verify_customers(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare repaired customers."""
    for meters in comparison.candidates(cursor, ids):
        comparison.keep_expected(cursor, comparison.scope_of_customers(cursor, ids, meters))
    comparison.compare_customers(cursor, ids)
    still = [each.customer_id for page in comparison.drifted_customers(cursor) for each in page]
    return _still(cursor, run, "customer", still)


def _still(cursor: Cursor[Any], run: Run, entity: str, still: Sequence[int]) -> Tally:
    """Record that these were not repaired after all."""
    drift.unmark_repaired(cursor, run, entity, still)
    return Tally(unrepaired=len(still))
