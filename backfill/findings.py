"""From drift to findings: one for each column that differs, with its cause and the rows that prove it. Pure.

For a meter, `expected - recorded = sum(counted - marked) + (sum(marked) - recorded)`. The first part is the history
rows whose marks disagree with what counts; the second is an edit of the projection or, where the number of rows is
off as well, history rows that were deleted.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

from backfill.figures import (
    Cause,
    CustomerDrift,
    CustomerEvidence,
    CustomerFigures,
    Disagreement,
    MeterDrift,
    MeterEvidence,
    MeterFigures,
    Source,
)

SIDE: Final[dict[str, Source]] = {
    "total_billed": "invoices",
    "invoice_count": "invoices",
    "last_invoice_date": "invoices",
    "total_paid": "payments",
    "payment_count": "payments",
    "last_payment_at": "payments",
}


class Finding(NamedTuple):
    """One column of one row that is not what history says; `difference` is expected less recorded."""

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
    """Name each differing column of a meter."""
    reasons = {
        "invoices": _side(drift, evidence, "invoices"),
        "payments": _side(drift, evidence, "payments"),
    }
    owed_by = _heavier_side(drift)
    for column, recorded, expected in zip(MeterFigures._fields, drift.recorded, drift.expected, strict=True):
        if recorded != expected:
            reason = _customer(drift, evidence) if column == "customer_id" else reasons[SIDE.get(column, owed_by)]
            yield _finding(("meter", drift.meter_id), column, recorded, expected, reason)


def of_customer(drift: CustomerDrift, evidence: CustomerEvidence) -> Iterator[Finding]:
    """Name each differing column of a customer."""
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


def _side(drift: MeterDrift, evidence: MeterEvidence, source: Source) -> _Reason:
    """Weigh the two parts of the difference in a meter's invoices or payments."""
    history = [each for each in evidence.disagreements if each.source == source]
    marks, recorded = evidence.marks, drift.recorded
    if source == "invoices":
        amount, rows = marks.total_billed - recorded.total_billed, marks.invoice_count - recorded.invoice_count
    else:
        amount, rows = marks.total_paid - recorded.total_paid, marks.payment_count - recorded.payment_count
    proof: dict[str, Any] = {}
    if history:
        proof["history"] = [_described(each) for each in history]
    if amount or rows:
        proof["projection"] = {"amount": str(amount), "rows": rows}
    if history and _outweighs(sum((each.amount for each in history), Decimal(0)), amount):
        return _Reason(_heaviest(history).cause, proof)
    return _Reason(_projection_cause(drift, evidence, amount, rows), proof)


def _projection_cause(drift: MeterDrift, evidence: MeterEvidence, amount: Decimal, rows: int) -> Cause:
    if not drift.present:
        return "row-missing"
    if not evidence.marks.known:
        return "row-extra"
    if amount and rows < 0:
        return "history-deleted"
    return "projection-edited" if amount or rows else "date-edited"


def _customer(drift: MeterDrift, evidence: MeterEvidence) -> _Reason:
    """Say why a meter is shown under another customer than its assignments say."""
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
    """Say whether a meter's balance is off rather by what was billed or by what was paid."""
    billed = drift.expected.total_billed - drift.recorded.total_billed
    paid = drift.expected.total_paid - drift.recorded.total_paid
    return "invoices" if _outweighs(billed, paid) else "payments"


def _outweighs(one: Decimal, other: Decimal) -> bool:
    """Compare magnitudes; NaN, which PostgreSQL can store, outweighs everything."""
    if one.is_nan() or other.is_nan():
        return one.is_nan()
    return abs(one) >= abs(other)


def _heaviest(history: list[Disagreement]) -> Disagreement:
    heaviest = history[0]
    for each in history[1:]:
        heaviest = heaviest if _outweighs(heaviest.amount, each.amount) else each
    return heaviest


def _described(each: Disagreement) -> dict[str, Any]:
    return {**each._asdict(), "amount": str(each.amount)}
