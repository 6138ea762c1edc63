"""Compares one chunk in its snapshot: which meters and customers differ, and the evidence for why.

A chunk can hold a customer with any number of meters. No statement gets more than `METERS_MAX` of them, and what
differs is explained page by page, so these limits bound the memory, and not the customer. All of it is one snapshot.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Cursor

from backfill.audit import findings
from backfill.audit.drift_types import (
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
from backfill.audit.findings import Finding
from backfill.runs.in_effect import PARTS
from backfill.runs.tally import Tally
from projector.database.statements import statements

RECOMPUTE: Final = statements("backfill.audit", "recompute.sql", **PARTS)
COMPARE: Final = statements("backfill.audit", "compare.sql")
EVIDENCE: Final = statements("backfill.audit", "evidence.sql", **PARTS)
IDS_MAX: Final = 20  # ids named as evidence; more are counted
METERS_MAX: Final = 20_000  # recomputed by one statement: more than a usual chunk has, and some 10 MB of arrays
PAGE: Final = 2_000  # drifted meters or customers explained at once: some 20 MB with their findings and evidence
GAP_MAX: Final = 8  # keys between two meters up to which reading on is cheaper than another index lookup


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The meters of a chunk, each with the customer that history assigns it to."""

    meters: Sequence[int]
    owners: Sequence[int | None]

    @classmethod
    def of(cls, row: tuple[Any, ...] | None) -> "Scope":
        """Take the two arrays that a scope statement returns."""
        meters, owners = row or (None, None)
        return cls(meters=meters or [], owners=owners or [])

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a statement that recomputes these meters."""
        lows, highs = ranges(self.meters)
        return {
            "meters": array(self.meters), "owners": array(self.owners), "lows": array(lows), "highs": array(highs)
        }  # fmt: skip


def array(keys: Iterable[int | None]) -> str:
    """Write PostgreSQL's literal of a bigint array, in a quarter of the time that the driver takes for a long list."""
    return "{" + ",".join(["NULL" if key is None else str(key) for key in keys]) + "}"


def ranges(meters: Sequence[int]) -> tuple[list[int], list[int]]:
    """Cover these meters with ranges of keys (first and last of each) that contain few other meters."""
    keys = sorted(meters)
    breaks = [after for after in range(1, len(keys)) if keys[after] - keys[after - 1] > GAP_MAX]
    return [keys[first] for first in (0, *breaks) if keys], [keys[last - 1] for last in (*breaks, len(keys)) if keys]


def candidates(cursor: Cursor[Any], ids: Sequence[int]) -> list[Sequence[int]]:
    """Find the meters with an active assignment to these customers, in slices for one statement each."""
    (meters,) = cursor.execute(RECOMPUTE["candidate_meters"], {"ids": array(ids)}).fetchone() or ([],)
    return slices(meters)


def slices(meters: Sequence[int]) -> list[Sequence[int]]:
    """Cut meters into slices for one statement each; no meters make one empty slice."""
    return [meters[first : first + METERS_MAX] for first in range(0, len(meters) or 1, METERS_MAX)]


def scope_of_customers(cursor: Cursor[Any], ids: Sequence[int], meters: Sequence[int]) -> Scope:
    """Keep those of a slice of candidates that history assigns to these customers."""
    lows, highs = ranges(meters)
    asked = {"ids": array(ids), "lows": array(lows), "highs": array(highs)}
    return Scope.of(cursor.execute(RECOMPUTE["scope_of_customers"], asked).fetchone())


def scope_of_meters(cursor: Cursor[Any], ids: Sequence[int]) -> Scope:
    """Find the customers that history assigns these meters to."""
    return Scope.of(cursor.execute(RECOMPUTE["scope_of_meters"], {"ids": ids}).fetchone())


def tally_meters(cursor: Cursor[Any], scope: Scope) -> Tally:
    """Tally the meters of the scope that differ."""
    return _tallied(cursor.execute(RECOMPUTE["tally_meters"], scope.parameters))


def tally_customers(cursor: Cursor[Any], scope: Scope, ids: Sequence[int]) -> Tally:
    """Tally these customers and their meters."""
    chunk = {"ids": array(ids), "first": ids[0], "last": ids[-1]}
    delta = _tallied(cursor.execute(RECOMPUTE["tally_customers"], {**scope.parameters, **chunk}))
    return delta + Tally(meters=len(scope.meters))


def tally_kept_customers(cursor: Cursor[Any], ids: Sequence[int]) -> Tally:
    """Tally these customers and their meters, whose expected figures were kept slice by slice."""
    chunk = {"ids": array(ids), "first": ids[0], "last": ids[-1]}
    return _tallied(cursor.execute(RECOMPUTE["tally_kept_customers"], chunk))


def keep_expected(cursor: Cursor[Any], scope: Scope) -> None:
    """Recompute the scope's meters and keep their expected figures."""
    cursor.execute(RECOMPUTE["keep_expected"], scope.parameters)


def compare_customers(cursor: Cursor[Any], ids: Sequence[int]) -> None:
    """Put these customers, recorded beside expected by the meters that were kept, into the scratch table."""
    cursor.execute(COMPARE["compare_customers"], {"ids": list(ids)})


def drifted_meters(cursor: Cursor[Any]) -> Iterator[list[MeterDrift]]:
    """Read the kept meters that differ, in key order, page by page."""
    width = len(MeterFigures._fields)
    for page in _pages(cursor, "drifted_meters"):
        yield [
            MeterDrift(meter_id, present, MeterFigures(*both[:width]), MeterFigures(*both[width:]), contradicting_rows)
            for meter_id, present, *both, contradicting_rows in page
        ]


def drifted_customers(cursor: Cursor[Any]) -> Iterator[list[CustomerDrift]]:
    """Read the compared customers that differ, in key order, page by page."""
    width = len(CustomerFigures._fields)
    for page in _pages(cursor, "drifted_customers"):
        yield [
            CustomerDrift(customer_id, present, CustomerFigures(*both[:width]), CustomerFigures(*both[width:]))
            for customer_id, present, *both in page
        ]


def explain_meters(cursor: Cursor[Any], drifts: Sequence[MeterDrift]) -> list[Finding]:
    """Name each column in which these meters differ, and why."""
    if not drifts:
        return []
    evidence = _meter_evidence(cursor, drifts)
    return [finding for drift in drifts for finding in findings.of_meter(drift, evidence[drift.meter_id])]


def explain_customers(
    cursor: Cursor[Any], drifts: Sequence[CustomerDrift], owned: Mapping[int | None, Sequence[int]]
) -> list[Finding]:
    """Name each column in which these customers differ, and why; `owned` lists their first drifted meters."""
    if not drifts:
        return []
    parameters = {"ids": [drift.customer_id for drift in drifts], "ids_max": IDS_MAX}
    width = len(CustomerFigures._fields)
    evidence = {
        customer_id: CustomerEvidence(
            sums=CustomerFigures(*rest[:width]),
            meters=tuple(sorted({*owned.get(customer_id, ()), *rest[width]})[:IDS_MAX]),
            known=rest[width + 1],
        )
        for customer_id, *rest in cursor.execute(EVIDENCE["customer_evidence"], parameters)
    }
    return [finding for drift in drifts for finding in findings.of_customer(drift, evidence[drift.customer_id])]


def clear_evidence(cursor: Cursor[Any]) -> None:
    """Clear the evidence before that of other meters, in the same transaction."""
    cursor.execute(EVIDENCE["clear_evidence"])


def add_meters_to_scope(cursor: Cursor[Any], ids: Sequence[int]) -> None:
    """Add meters to the scratch table `scope`."""
    cursor.execute(EVIDENCE["add_meters_to_scope"], {"ids": list(ids)})


def sum_marks(cursor: Cursor[Any]) -> None:
    """Add up the marks of the scope's meters into the scratch table `marked`."""
    cursor.execute(EVIDENCE["sum_marks"])


def find_disagreements(cursor: Cursor[Any]) -> None:
    """Find the history rows of the scope's meters whose marks, or whose `active`, differ from what counts."""
    for name in ("find_disagreeing_invoices", "find_disagreeing_payments", "find_disagreeing_assignments"):
        cursor.execute(EVIDENCE[name])


def _meter_evidence(cursor: Cursor[Any], drifts: Sequence[MeterDrift]) -> dict[int, MeterEvidence]:
    add_meters_to_scope(cursor, [drift.meter_id for drift in drifts])
    find_disagreements(cursor)
    sum_marks(cursor)
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
    cursor.execute(EVIDENCE["count_meters_of_customers"], parameters)
    rows = cursor.execute(EVIDENCE["assignment_evidence"], parameters)
    return {meter_id: AssignmentEvidence(*facts) for meter_id, *facts in rows}


def _pages(cursor: Cursor[Any], name: str) -> Iterator[list[tuple[Any, ...]]]:
    """Read a statement's rows page by page through a server-side cursor."""
    with cursor.connection.cursor(name=name) as rows:
        rows.execute(COMPARE[name])
        while page := rows.fetchmany(PAGE):
            yield page


def _tallied(cursor: Cursor[Any]) -> Tally:
    """Read the one row of a statement whose columns are a tally's."""
    names = [column.name for column in cursor.description or ()]
    return Tally(**dict(zip(names, cursor.fetchone() or (), strict=True)))
