"""The cause of a difference follows from its two parts: what history says now, and what it was marked with."""

from decimal import Decimal

import pytest

from backfill.audit import findings
from backfill.audit.drift_types import (
    AssignmentEvidence,
    Cause,
    CustomerDrift,
    CustomerEvidence,
    CustomerFigures,
    Disagreement,
    Marks,
    MeterDrift,
    MeterEvidence,
)
from tests.unit.backfill.examples import ZERO, a_meter, a_row, causes_of, the_marks


@pytest.mark.parametrize(
    ("recorded", "marks", "rows", "cause"),
    [
        ("100", the_marks("100"), (a_row("50"),), "history-changed"),
        ("100", the_marks("100"), (a_row("50", "history-added"),), "history-added"),
        ("170", the_marks("150"), (), "projection-edited"),
        ("170", the_marks("150", invoices=0), (), "history-deleted"),
        ("100", the_marks("130"), (a_row("20"),), "projection-edited"),
        ("100", the_marks("110"), (a_row("40"),), "history-changed"),
        ("100", the_marks("100"), (a_row("10"), a_row("40", "history-moved")), "history-moved"),
        ("100", the_marks("100"), (a_row("40", "history-moved"), a_row("10")), "history-moved"),
        ("100", the_marks("140"), (a_row("40"),), "history-changed"),
        ("100", the_marks("140"), (a_row("-39"),), "projection-edited"),
        ("100", the_marks("140"), (a_row("39"),), "projection-edited"),
        ("100", the_marks("0", invoices=0, known=False), (), "row-extra"),
    ],
)
def test_the_weightier_part_names_the_cause(
    recorded: str, marks: Marks, rows: tuple[Disagreement, ...], cause: Cause
) -> None:
    drift = MeterDrift(1, present=True, recorded=a_meter(recorded), expected=a_meter("150"))
    causes = causes_of(drift, MeterEvidence(marks=marks, disagreements=rows, assignments=None))
    assert causes["total_billed"] == causes["balance"] == cause


def test_both_parts_are_in_the_evidence() -> None:
    drift = MeterDrift(1, present=True, recorded=a_meter("100"), expected=a_meter("150"))
    evidence = MeterEvidence(marks=the_marks("110"), disagreements=(a_row("40"),), assignments=None)
    billed = next(each for each in findings.of_meter(drift, evidence) if each.column == "total_billed")
    assert billed.difference == Decimal(50)
    assert billed.evidence["projection"] == {"amount": "10", "rows": 0}
    assert (billed.evidence["history"][0]["ids"], billed.evidence["history"][0]["amount"]) == ([31], "40")


def test_a_date_alone_is_named_as_such() -> None:
    recorded = a_meter("150")._replace(last_invoice_date="2030-01-01")
    drift = MeterDrift(1, present=True, recorded=recorded, expected=a_meter("150"))
    evidence = MeterEvidence(marks=the_marks("150"), disagreements=(), assignments=None)
    assert causes_of(drift, evidence) == {"last_invoice_date": "date-edited"}


@pytest.mark.parametrize(
    ("present", "agrees", "known", "cause"),
    [
        (True, True, True, "assignment-edited"),
        (True, False, True, "projection-edited"),
        (False, False, True, "row-missing"),
        (True, False, False, "row-extra"),
    ],
)
def test_another_customer(*, present: bool, agrees: bool, known: bool, cause: Cause) -> None:
    recorded = a_meter("150", customer_id=8)
    drift = MeterDrift(1, present=present, recorded=recorded, expected=a_meter("150"))
    facts = AssignmentEvidence(agrees_with_itself=agrees, ids=[1])
    evidence = MeterEvidence(marks=the_marks("150", known=known), disagreements=(), assignments=facts)
    found = list(findings.of_meter(drift, evidence))
    shown = findings.Finding("meter", 1, "customer_id", "8", "7", None, cause, {"assignments": [1]})
    assert found == [shown]
    unproven = MeterEvidence(marks=the_marks("150", known=known), disagreements=(), assignments=None)
    assert [each.evidence for each in findings.of_meter(drift, unproven)] == [{"assignments": []}]


def test_nobody_is_shown_as_nothing() -> None:
    recorded = a_meter("150", customer_id=None)
    drift = MeterDrift(1, present=True, recorded=recorded, expected=a_meter("150"))
    evidence = MeterEvidence(marks=the_marks("150"), disagreements=(), assignments=None)
    (found,) = findings.of_meter(drift, evidence)
    assert (found.recorded, found.expected) == (None, "7")
    (found,) = findings.of_meter(drift._replace(recorded=drift.expected, expected=recorded), evidence)
    assert (found.recorded, found.expected) == ("7", None)


def test_payments_are_weighed_by_themselves_and_a_balance_by_the_heavier_side() -> None:
    """Billed is off by 10 through a changed invoice, paid by 20 through an edit of the projection."""
    recorded = a_meter("100")._replace(total_paid=Decimal(50), payment_count=3, balance=Decimal(50))
    expected = a_meter("110")._replace(total_paid=Decimal(30), payment_count=1, balance=Decimal(80))
    row = a_row("5", "history-moved")._replace(source="payments", field="meter_id", ids=[4])
    evidence = MeterEvidence(
        marks=the_marks("100")._replace(total_paid=Decimal(25), payment_count=1),
        disagreements=(a_row("10"), row),
        assignments=None,
    )
    drift = MeterDrift(1, present=True, recorded=recorded, expected=expected)
    found = {each.column: each for each in findings.of_meter(drift, evidence)}
    described = {
        "source": "payments", "cause": "history-moved", "field": "meter_id", "rows": 1, "amount": "5", "ids": [4]
    }  # fmt: skip
    proof = {
        "history": [described], "uncertain": "history or marks", "projection": {"amount": "-25", "rows": -2}
    }  # fmt: skip
    assert {name: (each.cause, each.difference) for name, each in found.items()} == {
        "total_billed": ("history-changed", Decimal(10)),
        "total_paid": ("history-deleted", Decimal(-20)),
        "balance": ("history-deleted", Decimal(30)),
        "payment_count": ("history-deleted", Decimal(-2)),
    }
    assert found["total_paid"].evidence == found["balance"].evidence == proof
    assert (found["total_paid"].recorded, found["total_paid"].expected) == ("50", "30")


def test_the_sides_are_weighed_by_how_much_they_are_off() -> None:
    """What was billed is more than what was paid, and less of it is off."""
    recorded = a_meter("1000")._replace(total_paid=Decimal(5))
    expected = a_meter("1001")._replace(total_paid=Decimal(2), balance=Decimal(7))
    evidence = MeterEvidence(
        marks=the_marks("1000")._replace(total_paid=Decimal(2)), disagreements=(a_row("1"),), assignments=None
    )
    causes = causes_of(MeterDrift(1, present=True, recorded=recorded, expected=expected), evidence)
    assert (causes["total_billed"], causes["total_paid"]) == ("history-changed", "projection-edited")
    assert causes["balance"] == "projection-edited"


def test_what_is_off_counts_and_not_what_was_paid() -> None:
    recorded = a_meter("100")._replace(total_paid=Decimal(50), balance=Decimal(50))
    expected = a_meter("110")._replace(total_paid=Decimal(49), balance=Decimal(61))
    evidence = MeterEvidence(
        marks=the_marks("100")._replace(total_paid=Decimal(49)), disagreements=(a_row("10"),), assignments=None
    )
    drift = MeterDrift(1, present=True, recorded=recorded, expected=expected)
    assert causes_of(drift, evidence)["balance"] == "history-changed"


def test_a_meter_without_a_row() -> None:
    drift = MeterDrift(1, present=False, recorded=a_meter("0", invoices=0), expected=a_meter("150"))
    evidence = MeterEvidence(marks=the_marks("150"), disagreements=(), assignments=None)
    assert set(causes_of(drift, evidence).values()) == {"row-missing"}


@pytest.mark.parametrize(
    ("present", "sum_of_rows", "known", "cause"),
    [
        (True, 100, True, "meter-drift"),
        (True, 150, True, "customer-sum-off"),
        (False, 150, True, "row-missing"),
        (True, 0, False, "row-extra"),
    ],
)
def test_a_customer_s_sum(*, present: bool, sum_of_rows: int, known: bool, cause: Cause) -> None:
    def figures(balance: int) -> CustomerFigures:
        return CustomerFigures(Decimal(balance), ZERO, ZERO, ZERO, 0)

    drift = CustomerDrift(7, present=present, recorded=figures(100), expected=figures(150))
    evidence = CustomerEvidence(sums=figures(sum_of_rows), meters=(1, 2), known=known)
    (found,) = findings.of_customer(drift, evidence)
    assert (found.entity, found.column, found.cause, found.difference) == ("customer", "balance", cause, Decimal(50))
    assert found.evidence == {"meters": (1, 2), "sum_of_meter_rows": str(sum_of_rows)}
