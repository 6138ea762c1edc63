"""Compares what was repaired once more, in a new snapshot, and marks as repaired what is equal then."""

from collections.abc import Sequence
from typing import Any

from psycopg import Cursor

from backfill.audit import check, comparison
from backfill.runs import drift
from backfill.runs.store import Run
from backfill.runs.tally import Tally


def verify_meters(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare repaired meters."""
    for some in comparison.slices(ids):
        comparison.keep_expected(cursor, comparison.scope_of_meters(cursor, some))
    return _settled(cursor, run, "meter", ids, _differing_meters(cursor))


def verify_customers(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare repaired customers."""
    _keep_meters_of(cursor, ids)
    return _settled(cursor, run, "customer", ids, _differing_customers(cursor, ids))


def verify_found_meters(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare what was found of these meters; what still differs is left to the phases that repair."""
    return Tally(repaired=verify_meters(cursor, run, check.found(cursor, run, "meter", ids)).repaired)


def verify_found_of_customers(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare what was found of these customers and their meters; what still differs is left to those phases, too."""
    meters, customers = check.found_of_customers(cursor, run, ids)
    owners = {owner for some in comparison.slices(meters) for owner in comparison.scope_of_meters(cursor, some).owners}
    compared = _keep_meters_of(cursor, sorted({*customers, *(owner for owner in owners if owner is not None)}))
    still = _differing_meters(cursor)
    delta = _settled(cursor, run, "meter", [meter for meter in meters if meter in compared], still)
    delta += _settled(cursor, run, "customer", customers, _differing_customers(cursor, customers))
    return Tally(repaired=delta.repaired)


def _keep_meters_of(cursor: Cursor[Any], customers: Sequence[int]) -> set[int]:
    """Keep the expected figures of the meters that history assigns to these customers; return the meters."""
    compared: set[int] = set()
    for some in comparison.candidates(cursor, customers):
        scope = comparison.scope_of_customers(cursor, customers, some)
        comparison.keep_expected(cursor, scope)
        compared.update(scope.meters)
    return compared


def _differing_meters(cursor: Cursor[Any]) -> set[int]:
    return {each.meter_id for page in comparison.drifted_meters(cursor) for each in page}


def _differing_customers(cursor: Cursor[Any], ids: Sequence[int]) -> set[int]:
    comparison.compare_customers(cursor, ids)
    return {each.customer_id for page in comparison.drifted_customers(cursor) for each in page}


def _settled(cursor: Cursor[Any], run: Run, entity: str, ids: Sequence[int], still: set[int]) -> Tally:
    """Mark as repaired those of a run's findings that are equal now."""
    equal = [key for key in ids if key not in still]
    drift.mark_repaired(cursor, run, entity, equal)
    return Tally(repaired=len(equal), unrepaired=len(ids) - len(equal))
