"""Rows whose history was edited are told from rows whose marks were, by what the projection recorded before."""

from decimal import Decimal
from itertools import pairwise

import pytest

from backfill.audit.attribution import CHOOSE_MAX, Side, attribute
from backfill.audit.drift_types import Disagreement

Rows = list[tuple[int, str]]
"""Their ids, and what each counts now less what its mark says."""


def _group(rows: Rows, *, shift: int = 0, **more: str) -> Disagreement:
    amounts = [Decimal(amount) for _, amount in rows]
    group = Disagreement(
        source="invoices", cause="history-changed", field="amount", rows=len(rows), amount=sum(amounts, Decimal(0)),
        ids=[row_id for row_id, _ in rows], mark="projected_amount", row_shift=shift * len(rows), amounts=amounts,
        row_shifts=[shift] * len(rows),
    )  # fmt: skip
    return group._replace(**more)  # type: ignore[arg-type]


def _side(amount: str, rows: int = 5, latest: str | None = "2026-01-01") -> Side:
    return Side(Decimal(amount), rows, latest)


@pytest.mark.parametrize(
    ("rows", "counted", "recorded", "history", "marks", "certain"),
    [
        ([(1, "7")], "107", "100", [1], [], True),
        ([(1, "7")], "107", "107", [], [1], True),
        ([(1, "7"), (2, "-3")], "104", "97", [1], [2], True),
        ([(1, "7"), (2, "-3")], "104", "107", [2], [1], True),
        ([(1, "7"), (2, "7")], "114", "107", [1, 2], [], False),  # either of the two
        ([(1, "7"), (2, "-7")], "100", "100", [1, 2], [], False),
        ([(1, "7")], "107", "200", [1], [], False),  # the projection was edited as well
        ([(1, "1"), (2, "2"), (3, "4"), (4, "8"), (5, "16"), (6, "32")], "163", "121", [2, 4, 6], [1, 3, 5], True),
        ([(n, str(2**n)) for n in range(7)], "227", "101", [*range(7)], [], False),  # too many to try each choice
        ([], "100", "130", [], [], True),
    ],
)
def test_the_recorded_sum_tells_whose_marks_were_edited(  # noqa: PLR0913, PLR0917 - one row of the table
    rows: Rows,
    counted: str,
    recorded: str,
    history: list[int],
    marks: list[int],
    certain: bool,  # noqa: FBT001
) -> None:
    found = attribute(
        [_group(rows)] if rows else [], counted=_side(counted), marked=_side("100"), recorded=_side(recorded)
    )
    assert [each for group in found.history for each in group.ids] == history
    assert [each for group in found.marks for each in group.ids] == marks
    assert found.certain is certain
    edited = sum((Decimal(amount) for row_id, amount in rows if row_id in marks), Decimal(0))
    assert (found.amount, found.rows) == (100 + edited - Decimal(recorded), 0)


@pytest.mark.parametrize(
    ("marked", "recorded", "of_marks", "certain"),
    [
        (_side("100", 5), _side("100", 5), False, True),
        (_side("100", 5), _side("100", 4), True, True),  # a row of nothing is marked here, and counts elsewhere
        (_side("100", 5), _side("130", 4), True, True),  # and the projection was edited by 30
        (_side("100", 5), _side("130", 5), False, True),
        (_side("100", 5), _side("130", 9), False, False),
    ],
)
def test_so_does_the_number_of_rows(marked: Side, recorded: Side, *, of_marks: bool, certain: bool) -> None:
    found = attribute([_group([(1, "0")], shift=-1)], counted=_side("100", 4), marked=marked, recorded=recorded)
    assert [bool(found.history), bool(found.marks), found.certain] == [not of_marks, of_marks, certain]
    assert found.rows == marked.rows - of_marks - recorded.rows


@pytest.mark.parametrize(
    ("recorded", "of_marks", "certain"),
    [("2026-01-01", False, True), ("2026-03-31", True, True), ("2026-02-02", False, False), (None, False, False)],
)
def test_so_does_the_latest_date_where_sums_agree(recorded: str | None, *, of_marks: bool, certain: bool) -> None:
    found = attribute(
        [_group([(1, "50")], shift=1), _group([(2, "-50")], shift=-1)],
        counted=_side("100", latest="2026-03-31"), marked=_side("100"), recorded=_side("100", latest=recorded),
    )  # fmt: skip
    assert [bool(found.history), bool(found.marks), found.certain] == [not of_marks, of_marks, certain]


def test_marks_are_named_by_their_own_column_and_grouped_by_it() -> None:
    rows = [
        _group([(1, "1"), (2, "2")]), _group([(3, "-4")], field="voided"),
        _group([(4, "8")], shift=1, cause="history-moved", field="meter_id", mark="projected_meter_id"),
    ]  # fmt: skip
    found = attribute(rows, counted=_side("107", 6), marked=_side("100", 5), recorded=_side("107", 6))
    assert found.history == []
    assert [(each.cause, each.field, each.ids, each.rows, each.amount, each.row_shift) for each in found.marks] == [
        ("marks-edited", "projected_amount", [1, 2, 3], 3, Decimal(-1), 0),
        ("marks-edited", "projected_meter_id", [4], 1, Decimal(8), 1),
    ]
    assert found.marks[0].amounts == [Decimal(1), Decimal(2), Decimal(-4)]
    assert found.marks[0].row_shifts == [0, 0, 0]
    assert [found.amount, found.rows] == [0, 0]


def test_groups_too_large_to_be_taken_apart_stay_as_they_are() -> None:
    many = [(n, "1") for n in range(CHOOSE_MAX)]
    rows = [_group(many), _group([(9, "5")], field="voided")]
    at_once = attribute(rows, counted=_side("111"), marked=_side("100"), recorded=_side("100"))
    assert (at_once.history, at_once.marks, at_once.certain) == (rows, [], True)
    all_marks = attribute(rows, counted=_side("111"), marked=_side("100"), recorded=_side("111"))
    assert [(each.rows, each.amount) for each in all_marks.marks] == [(CHOOSE_MAX + 1, Decimal(11))]
    assert [all_marks.amount, all_marks.rows, all_marks.certain] == [0, 0, True]


def test_a_few_rows_come_back_as_the_groups_they_were() -> None:
    rows = [_group([(1, "1"), (2, "2")], shift=1), _group([(3, "4")], field="voided")]
    found = attribute(rows, counted=_side("107", 7), marked=_side("100"), recorded=_side("100"))
    assert found.history == rows
    assert all(one.field != other.field for one, other in pairwise(found.history))


@pytest.mark.parametrize("recorded", ["100", "130"])
def test_rows_that_evidence_does_not_name_are_counted_all_the_same(recorded: str) -> None:
    many = _group([(n, "1") for n in range(20)])._replace(rows=30, amount=Decimal(30))
    found = attribute([many], counted=_side("130"), marked=_side("100"), recorded=_side(recorded))
    assert [(each.rows, each.amount) for each in (*found.history, *found.marks)] == [(30, Decimal(30))]
    assert (found.amount, found.certain) == (Decimal(0), True)
