"""A run, and a meter with its marks, as tests of pure code need them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from backfill.audit import findings
from backfill.audit.drift_types import Cause, Disagreement, Marks, MeterDrift, MeterEvidence, MeterFigures
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Tally

ZERO: Final = Decimal(0)


def run(**options: Any) -> Run:  # noqa: ANN401 - a run's options are of any type
    """Make a drift check that is under way."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Run(
        run_id=UUID(int=1), command="drift-check", state="running", options=options, phase="customers",
        cursor=BEFORE_ALL_KEYS, tally=Tally(), error=None, started_at=now, updated_at=now, finished_at=None,
    )  # fmt: skip


def a_meter(billed: str, *, invoices: int = 1, customer_id: int | None = 7) -> MeterFigures:
    """Make the figures of a meter that was billed so much, and paid nothing."""
    amount = Decimal(billed)
    return MeterFigures(
        customer_id=customer_id,
        total_billed=amount,
        total_paid=ZERO,
        balance=max(amount, ZERO),
        overpayment=ZERO,
        invoice_count=invoices,
        payment_count=0,
        last_invoice_date="2026-01-01",
        last_payment_at=None,
    )


def the_marks(billed: str, *, invoices: int = 1, known: bool = True) -> Marks:
    """Make what the marks of such a meter add up to."""
    return Marks(
        total_billed=Decimal(billed), total_paid=ZERO, invoice_count=invoices, payment_count=0,
        last_invoice_date="2026-01-01", last_payment_at=None, known=known,
    )  # fmt: skip


def a_row(amount: str, cause: Cause = "history-changed") -> Disagreement:
    """Make one invoice that counts so much more than it is marked with."""
    return Disagreement(
        source="invoices", cause=cause, field="amount", rows=1, amount=Decimal(amount), ids=[31],
        mark="projected_amount", row_shift=0, amounts=[Decimal(amount)], row_shifts=[0],
    )  # fmt: skip


def causes_of(drift: MeterDrift, evidence: MeterEvidence) -> dict[str, Cause]:
    """Read the cause of each finding of a meter, by its column."""
    return {finding.column: finding.cause for finding in findings.of_meter(drift, evidence)}
