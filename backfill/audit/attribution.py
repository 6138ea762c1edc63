"""A history row and its mark disagree: which of the two was edited? Pure.

A mark is what the projection last counted for a history row. If the row was edited, the projection has counted the
mark. If the mark was edited, it has counted the row. So for the invoices, or the payments, of one meter

    recorded = sum(marked) + sum(counted - marked, over the rows whose marks were edited)

and the recorded figures tell the two kinds of edit apart:

- The marks add up to the recorded figures and history does not: history was edited. The other way round: the marks.
- Neither adds up, and exactly one choice among a few rows, or groups of rows, explains the figures: both were edited,
  and that choice names the edited marks.
- Both add up, as after two edits that cancel out, or nothing explains the figures, as where the projection was edited
  too: the side that agrees with the recorded figures in more of amount, number of rows and latest date. In a tie the
  row's history is named, and the attribution is uncertain: nothing within one database can decide it.

The same edit of history and of the projection looks like an edit of the mark, and is reported as one.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Final, NamedTuple

from backfill.audit.drift_types import Disagreement

CHOOSE_MAX: Final = 6  # rows up to which every choice is tried: 64 sums


class Side(NamedTuple):
    """What history, the marks or the projection say about a meter's invoices, or its payments."""

    amount: Decimal
    rows: int
    latest: str | None


class Attribution(NamedTuple):
    """The rows by what was edited, and what no row explains: the original marks less what is recorded.

    `certain` is false where an edit of the other kind would leave the same figures.
    """

    history: list[Disagreement]
    marks: list[Disagreement]
    certain: bool
    amount: Decimal
    rows: int


def attribute(found: Sequence[Disagreement], *, counted: Side, marked: Side, recorded: Side) -> Attribution:
    """Attribute the rows, all of one meter and one source."""
    few = sum(each.rows for each in found) <= CHOOSE_MAX
    rows = [row for each in found for row in _row_by_row(each)] if few else found
    edited, certain = _choose(rows, counted, marked, recorded)
    history = _grouped(each for each in rows if each not in edited)
    marks = _grouped(each._replace(cause="marks-edited", field=each.mark) for each in edited)
    return Attribution(
        history=history,
        marks=marks,
        certain=certain,
        amount=marked.amount + _amount(edited) - recorded.amount,
        rows=marked.rows + _row_shift(edited) - recorded.rows,
    )


def _choose(
    rows: Sequence[Disagreement], counted: Side, marked: Side, recorded: Side
) -> tuple[Sequence[Disagreement], bool]:
    """Choose the rows whose marks were edited; tell whether nothing else fits."""
    marks_fit, history_fits = marked[:2] == recorded[:2], counted[:2] == recorded[:2]
    if marks_fit != history_fits:
        return ((), True) if marks_fit else (rows, True)
    if not marks_fit and len(rows) <= CHOOSE_MAX:
        choices = _choices(rows, marked, recorded)
        if len(choices) == 1:
            return choices[0], True
    leaning = _agreement(marked, recorded) - _agreement(counted, recorded)
    return (rows, True) if leaning < 0 else ((), leaning > 0 or not rows)


def _choices(rows: Sequence[Disagreement], marked: Side, recorded: Side) -> list[tuple[Disagreement, ...]]:
    """Find each choice of some of the rows, not all, whose edited marks explain the recorded sums."""
    missing = (recorded.amount - marked.amount, recorded.rows - marked.rows)
    return [
        some
        for size in range(1, len(rows))
        for some in combinations(rows, size)
        if (_amount(some), _row_shift(some)) == missing
    ]


def _agreement(one: Side, other: Side) -> int:
    """Count the figures in which two sides agree."""
    return sum(mine == its for mine, its in zip(one, other, strict=True))


def _row_by_row(group: Disagreement) -> Iterator[Disagreement]:
    for row_id, amount, shift in zip(group.ids, group.amounts, group.row_shifts, strict=True):
        yield group._replace(rows=1, amount=amount, row_shift=shift, ids=[row_id], amounts=[amount], row_shifts=[shift])


def _grouped(rows: Iterable[Disagreement]) -> list[Disagreement]:
    """Group the rows again that were attributed one by one."""
    groups: dict[tuple[str, ...], Disagreement] = {}
    for each in rows:
        alike = (each.cause, each.field, each.mark)
        groups[alike] = _together(groups[alike], each) if alike in groups else each
    return list(groups.values())


def _together(one: Disagreement, other: Disagreement) -> Disagreement:
    return one._replace(
        rows=one.rows + other.rows,
        amount=one.amount + other.amount,
        row_shift=one.row_shift + other.row_shift,
        ids=one.ids + other.ids,
        amounts=one.amounts + other.amounts,
        row_shifts=one.row_shifts + other.row_shifts,
    )


def _amount(rows: Iterable[Disagreement]) -> Decimal:
    return sum((each.amount for each in rows), Decimal(0))


def _row_shift(rows: Iterable[Disagreement]) -> int:
    return sum(each.row_shift for each in rows)
