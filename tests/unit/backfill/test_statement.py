"""A statement's sums, worked out by hand."""

from decimal import Decimal
from typing import Any

from backfill.explain.statement import Counted, Excluded, HandOver, Holder, Lacking, Meter, Statement, state


def _counted(day: str, amount: str, **more: Any) -> Counted:  # noqa: ANN401 - members of any type
    members: dict[str, Any] = {
        "kind": "invoice",
        "id": 1,
        "reference": None,
        "through_invoice_id": None,
        "allocated": False,
        "balance_brought_forward": None,
        "source_partition": 0,
        "source_offset": 0,
        "recorded": Decimal(amount),
        "contradicts": False,
        "before": False,
        "after": False,
    }
    return Counted(**{**members, "day": day, "amount": Decimal(amount), **more})


def _meter(billed: str, paid: str, *, present: bool = True, invoices: int = 0, payments: int = 0) -> Meter:
    return Meter(present, 7, 7, "Ada", Decimal(billed), Decimal(paid), None, invoices, payments)


def _excluded(*, contradicts: bool = False, outside: bool = False) -> Excluded:
    return Excluded("invoice", 1, "2026-01-01", Decimal(5), "voided", Decimal(0), contradicts, outside)


NOBODYS = Meter(False, None, None, None, Decimal(0), Decimal(0), None, 0, 0)  # noqa: FBT003 - a row as it is read


def _state(meter: Meter, counted: list[Counted], excluded: list[Excluded] | None = None) -> Statement:
    return state(1, (None, None), meter, counted, excluded or [])


def test_the_balance_runs_from_the_opening_one_to_the_closing_one() -> None:
    counted = [
        _counted("2026-01-01", "10.00", before=True),
        _counted("2026-02-01", "5.00"),
        _counted("2026-02-02", "-20.00"),
        _counted("2026-03-01", "7.00", after=True),
    ]
    found = _state(_meter("22", "20"), counted)
    assert [found.opening, *(entry.balance for entry in found.entries), found.closing] == [10, 15, -5, -5]
    assert [found.expected, len(found.later), found.difference] == [2, 1, 0]


def test_without_entries_the_closing_balance_is_the_opening_one() -> None:
    found = _state(_meter("10", "0"), [_counted("2026-01-01", "10.00", before=True)])
    assert [found.opening, found.closing, found.difference] == [10, 10, 0]


def test_what_is_recorded_otherwise_is_a_difference() -> None:
    found = _state(_meter("10", "4"), [_counted("2026-01-01", "10.00")])
    assert [found.expected, found.meter.balance, found.difference] == [10, 6, 4]


def test_rows_that_contradict_their_marks_are_counted_wherever_they_stand() -> None:
    voided = _excluded(contradicts=True)
    counted = [
        _counted("2026-01-01", "10.00", contradicts=True, before=before, after=after)
        for before, after in ((True, False), (False, False), (False, True))
    ]
    assert _state(_meter("30", "0"), counted, [voided]).contradicting_rows == 4
    assert _state(_meter("10", "0"), [_counted("2026-01-01", "10.00")]).contradicting_rows == 0


def test_a_meter_is_known_by_any_trace_of_it() -> None:
    voided = _excluded()
    assert not _state(NOBODYS, []).is_known
    assert _state(NOBODYS, [], [voided]).is_known
    assert _state(NOBODYS, [_counted("2026-01-01", "0.00")]).is_known
    assert _state(NOBODYS, [_counted("2026-01-01", "0.00", after=True)]).is_known
    assert _state(NOBODYS._replace(customer_id=3), []).is_known
    assert _state(_meter("0", "0"), []).is_known


def test_a_meter_that_was_handed_over_carries_what_it_had_before_that_day() -> None:
    counted = [
        _counted("2026-01-01", "10.00", before=True),
        _counted("2026-02-01", "-30.00"),
        _counted("2026-02-20", "5.00", after=True),
    ]

    def handed_over(*holders: tuple[int, str]) -> HandOver | None:
        meter = _meter("15", "30")._replace(holders=tuple(Holder(*each) for each in holders))
        return _state(meter, counted).handed_over

    assert handed_over((7, "2026-01-01")) is None
    assert handed_over((8, "2026-01-01"), (7, "2026-02-20")) == HandOver(7, "2026-02-20", Decimal(-20))
    back_again = ((7, "2026-01-01"), (8, "2026-01-15"), (7, "2026-02-01"), (7, "2026-03-01"))
    assert handed_over(*back_again) == HandOver(7, "2026-02-01", Decimal(10))
    assert handed_over((7, "2026-01-01"), (8, "2026-02-01")) is None, "the other assignment has ended"


def test_what_lies_outside_the_days_is_not_listed_and_contradicts_nevertheless() -> None:
    inside, beyond = _excluded(), _excluded(contradicts=True, outside=True)
    found = _state(_meter("0", "0"), [], [inside, beyond])
    assert (found.not_counted, found.contradicting_rows) == ([inside], 1)


def test_rows_that_only_the_recorded_balance_counts_are_told_where_the_figures_allow_it() -> None:
    counted = [_counted("2026-01-01", "10.00", before=True), _counted("2026-02-01", "-4.00", kind="payment")]

    def lacking(billed: str, paid: str, invoices: int, payments: int) -> Lacking | None:
        return _state(_meter(billed, paid, invoices=invoices, payments=payments), counted).lacking

    assert lacking("10", "4", 1, 1) is None
    assert lacking("10", "9", 1, 3) == Lacking("payment", 2, Decimal(5))
    assert lacking("7", "4", 2, 1) == Lacking("invoice", 1, Decimal(-3)), "a credit note"
    assert lacking("10", "3", 1, 2) is None, "no payment takes away"
    assert lacking("10", "4", 0, 1) is None
    for both in (("12", "9", 1, 2), ("10", "9", 2, 2), ("12", "9", 2, 2), ("12", "4", 2, 0), ("12", "5", 2, 1)):
        assert lacking(*both) is None, both
    found = _state(_meter("10", "9", invoices=1, payments=2), [counted[0], counted[1]._replace(contradicts=True)])
    assert found.lacking is None
