"""The oracle itself, held against figures worked out by hand: a wrong yardstick would pass every wrong thing."""

from datetime import date
from decimal import Decimal

from tests.support.examples import assigned, invoice, payment
from tests.support.oracle import State, differences, expected


def meter(state: State, key: int) -> tuple[str, ...]:
    row = state.meter_balances[key]
    names = ("total_billed", "total_paid", "balance", "overpayment", "invoice_count", "payment_count")
    return tuple(str(row[name]) for name in names)


def test_debt_and_overpayment_are_the_two_sides_of_one_difference() -> None:
    state = expected([invoice(1, 1, "1250.00"), payment(1, "1000.00", meter_id=1), payment(2, "300.50", meter_id=1)])
    assert meter(state, 1) == ("1250.00", "1300.50", "0", "50.50", "1", "2")


def test_voided_reversed_and_unmetered_count_nowhere_and_a_balance_brought_forward_is_no_charge() -> None:
    state = expected(
        [
            invoice(1, 1, "10.00", balance_brought_forward="900.00"),
            invoice(2, 1, "20.00", "voided"),
            invoice(3, None, "40.00"),
            invoice(4, 1, "-3.00"),
            payment(1, "1.00", "reversed", meter_id=1),
            payment(2, "2.00"),
        ]
    )
    assert meter(state, 1) == ("7.00", "0", "7.00", "0", "2", "0")
    assert set(state.meter_balances) == {1}


def test_a_payment_follows_its_invoice_even_a_voided_one() -> None:
    moved = [invoice(1, 1, "10.00"), payment(1, "4.00", invoice_id=1), invoice(1, 2, "10.00", "voided", version=2)]
    for order in (moved, moved[::-1]):
        state = expected(order)
        assert meter(state, 2) == ("0", "4.00", "0", "4.00", "0", "1")
        assert set(state.meter_balances) == {2}


def test_equal_versions_are_settled_by_the_ids_as_utf_8_bytes() -> None:
    astral, high = "\U0001f600", "\uffee"  # in UTF-16 the first sorts below the second
    for order in ((astral, high), (high, astral)):
        state = expected([invoice(1, 1, str(len(one.encode())), event_id=one) for one in order])
        assert state.invoices[1]["amount"] == Decimal(4)


def test_a_customer_is_the_sum_of_the_meters_whose_latest_active_assignment_names_it() -> None:
    state = expected(
        [
            invoice(1, 1, "100.00"),
            payment(1, "30.00", meter_id=2),
            assigned(1, 1, 7),
            assigned(2, 2, 7),
            assigned(3, 3, 7),
            assigned(4, 3, 8),
            assigned(5, 1, 9, assigned_at="2026-03-01T00:00:00Z", unassigned_at="2026-04-01T00:00:00Z"),
            assigned(6, 1, 9, "unassigned", assigned_at="2026-03-01T00:00:00Z"),
        ]
    )
    seven = state.customer_balances[7]
    assert (seven["balance"], seven["overpayment"], seven["active_meters"]) == (Decimal(100), Decimal(30), 2)
    assert state.meter_balances[3]["customer_id"] == 8
    assert set(state.customer_balances) == {7, 8}


def test_the_latest_date_is_that_of_a_counted_invoice() -> None:
    state = expected([invoice(1, 1, "1.00"), invoice(2, 1, "1.00", "voided", invoice_date="2026-05-31")])
    assert state.meter_balances[1]["last_invoice_date"] == date(2026, 1, 31)


def test_differences_name_the_row_and_both_figures_and_pass_over_rows_of_zeros() -> None:
    want, have = expected([invoice(1, 1, "10.00")]), expected([invoice(1, 1, "12.00")])
    assert "meter_balances 1: total_billed expected 10.00, recorded 12.00" in differences(want, have)
    nothing = expected([])
    zeros = {name: None if name.startswith(("last", "customer")) else 0 for name in want.meter_balances[1]}
    assert differences(nothing, nothing._replace(meter_balances={1: {**zeros, "meter_id": 1}})) == ""
