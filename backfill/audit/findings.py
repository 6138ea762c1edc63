"""From drift to findings: one for each column that differs, with its cause and the rows that prove it. Pure.

For a meter, `expected - recorded = sum(counted - marked) + (sum(marked) - recorded)`. The first part comes from history
rows whose marks disagree with what counts. The second is an edit of the projection or, where the number of rows differs
too, history rows that were deleted. `backfill.audit.attribution` tells which of those rows had their marks edited: for
these, the second part uses the mark's original value.

Rows that disagree with their marks are a finding of their own, in a column `marks` that the table does not have: their
number, where 0 is expected. So they are found even where every figure agrees, as after two edits that cancel out.
An assignment whose `active` is not what its dates say as of the clock is one of them: the meter's customer then tells
whether its dates were edited, and the projection still follows `active`, or `active` alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from backfill.audit.attribution import Attribution, attribute
from backfill.audit.attribution import Side as Sums
from backfill.audit.drift_types import (
    Cause,
    CustomerDrift,
    CustomerEvidence,
    CustomerFigures,
    Disagreement,
    Marks,
    MeterDrift,
    MeterEvidence,
    MeterFigures,
    Source,
)

MARKS: Final = "marks"
SOURCES: Final[tuple[Source, ...]] = ("invoices", "payments")
UNCERTAIN: Final = "history or marks"  # in `evidence`: the recorded figures agree with either
SIDE: Final[dict[str, Source]] = {
    "total_billed": "invoices",
    "invoice_count": "invoices",
    "last_invoice_date": "invoices",
    "total_paid": "payments",
    "payment_count": "payments",
    "last_payment_at": "payments",
}


class Finding(NamedTuple):
    """One column of one row that differs from history; `difference` is expected less recorded."""

    entity: str
    entity_id: int
    column: str
    recorded: str | None
    expected: str | None
    difference: Decimal | None
    cause: Cause
    evidence: dict[str, Any]


class _Reason(NamedTuple):
    cause: Cause
    evidence: dict[str, Any]


def of_meter(drift: MeterDrift, evidence: MeterEvidence) -> Iterator[Finding]:
    """Name each column of a meter that differs, and its rows that disagree with their marks."""
    found = {source: _attribution(drift, evidence, source) for source in SOURCES}
    reasons = {source: _side(drift, evidence, found[source]) for source in SOURCES}
    owed_by = _heavier_side(drift)
    for column, recorded, expected in zip(MeterFigures._fields, drift.recorded, drift.expected, strict=True):
        if recorded != expected:
            reason = _customer(drift, evidence) if column == "customer_id" else reasons[SIDE.get(column, owed_by)]
            yield _finding(("meter", drift.meter_id), column, recorded, expected, reason)
    if drift.contradicting_rows:
        reason = _marks(found.values(), _assignments(drift, evidence))
        yield _finding(("meter", drift.meter_id), MARKS, drift.contradicting_rows, 0, reason)


def of_customer(drift: CustomerDrift, evidence: CustomerEvidence) -> Iterator[Finding]:
    """Name each column of a customer that differs."""
    columns = zip(CustomerFigures._fields, drift.recorded, drift.expected, evidence.sums, strict=True)
    for column, recorded, expected, of_meters in columns:
        if recorded != expected:
            cause = _customer_cause(drift, evidence, agrees=recorded == of_meters)
            reason = _Reason(cause, {"meters": evidence.meters, "sum_of_meter_rows": str(of_meters)})
            yield _finding(("customer", drift.customer_id), column, recorded, expected, reason)


def _finding(row: tuple[str, int], column: str, recorded: object, expected: object, reason: _Reason) -> Finding:
    difference = None
    if column != "customer_id" and isinstance(expected, int | Decimal) and isinstance(recorded, int | Decimal):
        difference = Decimal(expected) - Decimal(recorded)
    return Finding(
        entity=row[0],
        entity_id=row[1],
        column=column,
        recorded=None if recorded is None else str(recorded),
        expected=None if expected is None else str(expected),
        difference=difference,
        cause=reason.cause,
        evidence=reason.evidence,
    )


def _attribution(drift: MeterDrift, evidence: MeterEvidence, source: Source) -> Attribution:
    """Tell the rows whose history was edited from those whose marks were."""
    return attribute(
        [each for each in evidence.disagreements if each.source == source],
        counted=_sums(drift.expected, source),
        marked=_sums(evidence.marks, source),
        recorded=_sums(drift.recorded, source),
    )


def _sums(figures: MeterFigures | Marks, source: Source) -> Sums:
    if source == "invoices":
        return Sums(figures.total_billed, figures.invoice_count, figures.last_invoice_date)
    return Sums(figures.total_paid, figures.payment_count, figures.last_payment_at)


def _side(drift: MeterDrift, evidence: MeterEvidence, found: Attribution) -> _Reason:
    """Compare the two parts of the difference in a meter's invoices or payments."""
    proof = _proof(found.history, found.marks, certain=found.certain)
    if found.amount or found.rows:
        proof["projection"] = {"amount": str(found.amount), "rows": found.rows}
    shift = sum((each.amount for each in found.history), Decimal(0))
    if found.history and abs(shift) >= abs(found.amount):
        return _Reason(_heaviest(found.history).cause, proof)
    return _Reason(_projection_cause(drift, evidence, found.amount, found.rows), proof)


def _assignments(drift: MeterDrift, evidence: MeterEvidence) -> list[Disagreement]:
    """Name what was edited in the assignments of a meter: their dates, or only whether they are active."""
    found = [each for each in evidence.disagreements if each.source == "assignments"]
    if drift.recorded.customer_id != drift.expected.customer_id:
        return found
    return [each._replace(cause="marks-edited", field=each.mark) for each in found]


def _marks(found: Iterable[Attribution], assignments: list[Disagreement]) -> _Reason:
    """Name what was edited in the rows of a meter that disagree with their marks, over all sources."""
    sides = list(found)
    history = [each for side in sides for each in side.history] + assignments
    marks = [each for side in sides for each in side.marks]
    proof = _proof(history, marks, certain=all(side.certain for side in sides))
    return _Reason(_heaviest([*history, *marks]).cause, proof)


def _proof(history: list[Disagreement], marks: list[Disagreement], *, certain: bool) -> dict[str, Any]:
    """List the rows; say so where it is uncertain whether their history or their marks were edited."""
    proof: dict[str, Any] = {}
    if history or marks:
        proof["history"] = [_described(each) for each in (*history, *marks)]
    if not certain:
        proof["uncertain"] = UNCERTAIN
    return proof


def _projection_cause(drift: MeterDrift, evidence: MeterEvidence, amount: Decimal, rows: int) -> Cause:
    if not drift.present:
        return "row-missing"
    if not evidence.marks.known:
        return "row-extra"
    if amount and rows < 0:
        return "history-deleted"
    return "projection-edited" if amount or rows else "date-edited"


def _customer(drift: MeterDrift, evidence: MeterEvidence) -> _Reason:
    """Say why a meter is shown under another customer than its assignments name."""
    facts = evidence.assignments
    proof = {"assignments": facts.ids if facts else []}
    if facts and facts.agrees_with_itself:
        return _Reason("assignment-edited", proof)
    if not drift.present:
        return _Reason("row-missing", proof)
    return _Reason("projection-edited" if evidence.marks.known else "row-extra", proof)


def _customer_cause(drift: CustomerDrift, evidence: CustomerEvidence, *, agrees: bool) -> Cause:
    if agrees:
        return "meter-drift"
    if not drift.present:
        return "row-missing"
    return "customer-sum-off" if evidence.known or evidence.sums.active_meters else "row-extra"


def _heavier_side(drift: MeterDrift) -> Source:
    """Tell whether a meter's balance differs more in what was billed or in what was paid."""
    billed = drift.expected.total_billed - drift.recorded.total_billed
    paid = drift.expected.total_paid - drift.recorded.total_paid
    return "invoices" if abs(billed) >= abs(paid) else "payments"


def _heaviest(found: Sequence[Disagreement]) -> Disagreement:
    """Choose the group with the largest amount; of equal ones the first."""
    return max(found, key=lambda each: abs(each.amount))


def _described(each: Disagreement) -> dict[str, Any]:
    return {
        "source": each.source,
        "cause": each.cause,
        "field": each.field,
        "rows": each.rows,
        "amount": str(each.amount),
        "ids": each.ids,
    }
