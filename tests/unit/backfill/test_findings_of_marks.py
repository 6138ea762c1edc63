"""Rows that contradict their marks are a finding of their own, and take no blame for what else was edited."""

from decimal import Decimal

import pytest

from backfill.audit import findings
from backfill.audit.drift_types import MeterDrift, MeterEvidence, Source
from tests.unit.backfill.examples import a_meter, a_row, causes_of, the_marks


def test_rows_that_contradict_their_marks_are_a_finding_though_every_figure_agrees() -> None:
    pair = a_row("0")._replace(
        rows=2, ids=[31, 32], amounts=[Decimal(500), Decimal(-500)], row_shifts=[0, 0]
    )  # fmt: skip
    drift = MeterDrift(1, present=True, recorded=a_meter("150"), expected=a_meter("150"), contradicting_rows=2)
    evidence = MeterEvidence(marks=the_marks("150"), disagreements=(pair,), assignments=None)
    described = {
        "source": "invoices", "cause": "history-changed", "field": "amount", "rows": 2, "amount": "0", "ids": [31, 32]
    }  # fmt: skip
    proof = {"history": [described], "uncertain": "history or marks"}
    assert list(findings.of_meter(drift, evidence)) == [
        findings.Finding("meter", 1, "marks", "2", "0", Decimal(-2), "history-changed", proof)
    ]


def test_both_sources_are_in_it_and_the_heaviest_names_it() -> None:
    """An invoice's mark was edited by 20, and a payment of 60 was moved to this meter."""
    recorded = a_meter("150")
    expected = recorded._replace(total_paid=Decimal(60), payment_count=1, balance=Decimal(90))
    moved = a_row("60", "history-moved")._replace(
        source="payments", field="meter_id", ids=[4], mark="projected_meter_id", row_shift=1, row_shifts=[1]
    )  # fmt: skip
    evidence = MeterEvidence(marks=the_marks("130"), disagreements=(a_row("20"), moved), assignments=None)
    drift = MeterDrift(1, present=True, recorded=recorded, expected=expected, contradicting_rows=2)
    found = {each.column: each for each in findings.of_meter(drift, evidence)}
    assert {name: each.cause for name, each in found.items()} == {
        "total_paid": "history-moved", "balance": "history-moved", "payment_count": "history-moved",
        "marks": "history-moved",
    }  # fmt: skip
    assert [(part["cause"], part["field"], part["ids"]) for part in found["marks"].evidence["history"]] == [
        ("history-moved", "meter_id", [4]), ("marks-edited", "projected_amount", [31]),
    ]  # fmt: skip
    assert "uncertain" not in found["marks"].evidence
    lighter = moved._replace(amount=Decimal(6), amounts=[Decimal(6)])
    less = drift._replace(expected=expected._replace(total_paid=Decimal(6)))
    marks = {
        each.column: each for each in findings.of_meter(less, evidence._replace(disagreements=(a_row("20"), lighter)))
    }
    assert marks["marks"].cause == "marks-edited"


def test_a_total_that_was_edited_is_not_blamed_on_a_mark_that_was_edited_too() -> None:
    """An invoice's mark was taken away, and 5 was added to the meter's total; nothing was deleted."""
    recorded = a_meter("155")
    gone = a_row("100")._replace(mark="projected_meter_id", row_shift=1, row_shifts=[1])
    evidence = MeterEvidence(marks=the_marks("50", invoices=0), disagreements=(gone,), assignments=None)
    drift = MeterDrift(1, present=True, recorded=recorded, expected=a_meter("150"), contradicting_rows=1)
    found = {each.column: each for each in findings.of_meter(drift, evidence)}
    assert {name: each.cause for name, each in found.items()} == {
        "total_billed": "projection-edited", "balance": "projection-edited", "marks": "marks-edited"
    }  # fmt: skip
    assert found["total_billed"].evidence["projection"] == {"amount": "-5", "rows": 0}


def test_a_date_that_was_edited_is_not_blamed_on_a_mark_either() -> None:
    recorded = a_meter("150")._replace(last_invoice_date="2030-01-01")
    evidence = MeterEvidence(marks=the_marks("130"), disagreements=(a_row("20"),), assignments=None)
    drift = MeterDrift(1, present=True, recorded=recorded, expected=a_meter("150"), contradicting_rows=1)
    assert causes_of(drift, evidence) == {"last_invoice_date": "date-edited", "marks": "marks-edited"}


@pytest.mark.parametrize("source", ["invoices", "payments"])
def test_where_sums_fit_either_the_latest_date_tells(source: Source) -> None:
    """Two rows changed places between two meters: what is recorded has the date of the one that was here before."""
    date = "last_invoice_date" if source == "invoices" else "last_payment_at"
    here = a_meter("150")._replace(**{date: "2026-01-01"})  # type: ignore[arg-type]
    there = here._replace(**{date: "2026-03-31"})  # type: ignore[arg-type]
    pair = (
        a_row("50", "history-moved")._replace(source=source, mark="projected_meter_id", row_shift=1, row_shifts=[1]),
        a_row("-50", "history-moved")._replace(
            source=source, mark="projected_meter_id", row_shift=-1, row_shifts=[-1], ids=[32]
        ),
    )
    for recorded, marked, cause in ((here, "2026-01-01", "history-moved"), (there, "2026-03-31", "history-moved"),
                                    (here, "2026-03-31", "marks-edited")):  # fmt: skip
        expected = here if cause == "marks-edited" else there if recorded == here else here
        marks = the_marks("150")._replace(**{date: marked})  # type: ignore[arg-type]
        drift = MeterDrift(1, present=True, recorded=recorded, expected=expected, contradicting_rows=2)
        found = list(findings.of_meter(drift, MeterEvidence(marks=marks, disagreements=pair, assignments=None)))
        assert {each.cause for each in found} == {cause}
        assert not any("uncertain" in each.evidence for each in found)


def test_a_balance_that_both_sides_put_off_alike_is_named_for_what_was_billed() -> None:
    recorded = a_meter("100")
    expected = recorded._replace(
        total_billed=Decimal(110), total_paid=Decimal(-10), balance=Decimal(120), payment_count=1
    )  # fmt: skip
    evidence = MeterEvidence(marks=the_marks("100"), disagreements=(a_row("10"),), assignments=None)
    assert causes_of(MeterDrift(1, present=True, recorded=recorded, expected=expected), evidence)["balance"] == (
        "history-changed"
    )
