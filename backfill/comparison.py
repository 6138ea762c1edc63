"""Compare one chunk in its snapshot: which meters and customers differ, and what is known about why."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from psycopg import Cursor

from backfill import findings
from backfill.figures import (
    AssignmentEvidence,
    CustomerDrift,
    CustomerEvidence,
    CustomerFigures,
    Disagreement,
    Marks,
    MeterDrift,
    MeterEvidence,
    MeterFigures,
)
from backfill.findings import Finding
from projector.statements import statements

RECOMPUTE: Final = statements("backfill", "sql/recompute.sql")
COMPARE: Final = statements("backfill", "sql/compare.sql")
EVIDENCE: Final = statements("backfill", "sql/evidence.sql")
IDS_MAX: Final = 20  # ids named as evidence; more are counted
SPREAD_MAX: Final = 4  # meters of a chunk are close together where at most every fourth key in their range is its own


def expect(cursor: Cursor[Any]) -> int:
    """Recompute the meters of the scope from history; return their number."""
    meters, low, high = cursor.execute(RECOMPUTE["bound_scope"]).fetchone() or (0, 0, 0)
    if meters:
        dense = high - low < SPREAD_MAX * meters
        cursor.execute(RECOMPUTE["expect_meters"], {"low": low, "high": high, "dense": dense})
    return int(meters)


def drifted_meters(cursor: Cursor[Any]) -> list[MeterDrift]:
    """Read the meters of the scope that differ."""
    width = len(MeterFigures._fields)
    return [
        MeterDrift(meter_id, present, MeterFigures(*both[:width]), MeterFigures(*both[width:]))
        for meter_id, present, *both in cursor.execute(COMPARE["drifted_meters"])
    ]


def drifted_customers(cursor: Cursor[Any]) -> list[CustomerDrift]:
    """Read the compared customers that differ."""
    width = len(CustomerFigures._fields)
    return [
        CustomerDrift(customer_id, present, CustomerFigures(*both[:width]), CustomerFigures(*both[width:]))
        for customer_id, present, *both in cursor.execute(COMPARE["drifted_customers"])
    ]


def explain_meters(cursor: Cursor[Any], drifts: Sequence[MeterDrift]) -> list[Finding]:
    """Name what differs in each meter, and why."""
    if not drifts:
        return []
    evidence = _meter_evidence(cursor, drifts)
    return [finding for drift in drifts for finding in findings.of_meter(drift, evidence[drift.meter_id])]


def explain_customers(
    cursor: Cursor[Any], drifts: Sequence[CustomerDrift], meters: Sequence[MeterDrift]
) -> list[Finding]:
    """Name what differs in each customer, and why; `meters` are the drifted ones of the chunk."""
    if not drifts:
        return []
    owned = defaultdict[int | None, set[int]](set)
    for meter in meters:
        owned[meter.expected.customer_id].add(meter.meter_id)
    parameters = {"ids": [drift.customer_id for drift in drifts], "ids_max": IDS_MAX}
    width = len(CustomerFigures._fields)
    evidence = {
        customer_id: CustomerEvidence(
            sums=CustomerFigures(*rest[:width]),
            meters=tuple(sorted({*owned[customer_id], *rest[width]})[:IDS_MAX]),
            known=rest[width + 1],
        )
        for customer_id, *rest in cursor.execute(EVIDENCE["customer_evidence"], parameters)
    }
    return [finding for drift in drifts for finding in findings.of_customer(drift, evidence[drift.customer_id])]


def find_disagreements(cursor: Cursor[Any]) -> None:
    """Find the history rows of the scope's meters whose marks are not what counts."""
    cursor.execute(EVIDENCE["find_disagreeing_invoices"])
    cursor.execute(EVIDENCE["find_disagreeing_payments"])


def _meter_evidence(cursor: Cursor[Any], drifts: Sequence[MeterDrift]) -> dict[int, MeterEvidence]:
    cursor.execute("DELETE FROM scope")
    cursor.execute(RECOMPUTE["scope_by_meter"], {"ids": [drift.meter_id for drift in drifts]})
    find_disagreements(cursor)
    cursor.execute(EVIDENCE["sum_marks"])
    marks = {meter_id: Marks(*rest) for meter_id, *rest in cursor.execute(EVIDENCE["marks"])}
    disagreements = defaultdict[int, list[Disagreement]](list)
    for meter_id, *group in cursor.execute(EVIDENCE["disagreements_by_meter"], {"ids_max": IDS_MAX}):
        disagreements[meter_id].append(Disagreement(*group))
    assignments = _assignment_evidence(cursor, drifts)
    return {
        meter_id: MeterEvidence(
            marks=marks[meter_id],
            disagreements=tuple(disagreements[meter_id]),
            assignments=assignments.get(meter_id),
        )
        for meter_id in marks
    }


def _assignment_evidence(cursor: Cursor[Any], drifts: Sequence[MeterDrift]) -> dict[int, AssignmentEvidence]:
    elsewhere = [drift for drift in drifts if drift.recorded.customer_id != drift.expected.customer_id]
    if not elsewhere:
        return {}
    parameters = {
        "meters": [drift.meter_id for drift in elsewhere],
        "recorded": [drift.recorded.customer_id for drift in elsewhere],
        "expected": [drift.expected.customer_id for drift in elsewhere],
        "ids_max": IDS_MAX,
    }
    rows = cursor.execute(EVIDENCE["assignment_evidence"], parameters)
    return {meter_id: AssignmentEvidence(*facts) for meter_id, *facts in rows}
