"""Of the history rows that contradict their marks: which had history edited, and which their marks. Pure.

What the projection recorded for a row is what the row said before it was edited: its mark where history was edited, and
what it counts where the mark was. So for the invoices, or the payments, of one meter

    recorded = sum(marked) + sum(counted - marked, over the rows whose marks were edited)

and the recorded figures tell the two kinds apart:

- The marks add up to them and history does not: history was edited. The other way round: the marks were.
- Neither does, and exactly one choice among a few rows, or among their groups, does: both were edited, and that choice
  names the marks.
- Both do, as after two edits that cancel out, or nothing does, as where the projection was edited, too: whichever
  agrees with the recorded figures in more of amount, number of rows and latest date. Where that is a tie the row's
  history is named, and the attribution is not certain: nothing within one database can tell.

An edit of history and the same edit of the projection look like an edit of the mark, and are named so.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Final, NamedTuple

from backfill.audit.drift_types import Disagreement

CHOOSE_MAX: Final = 6  # rows of which every choice is tried: 64 sums


class Side(NamedTuple):
    """What one of history, marks and projection says of a meter's invoices, or of its payments."""

    amount: Decimal
    rows: int
    latest: str | None


class Attribution(NamedTuple):
    """The rows by what was edited, and what no row explains: the marks before they were edited, less what is recorded.

    `certain` is false where the same figures would follow from an edit of the other kind.
    """

    history: list[Disagreement]
    marks: list[Disagreement]
    certain: bool
    amount: Decimal
    rows: int


def attribute(found: Sequence[Disagreement], *, counted: Side, marked: Side, recorded: Side) -> Attribution:
    """Tell the rows apart; all of them are of one meter and one source."""
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
    """Choose the rows whose marks were edited, and say whether nothing else fits."""
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
    """Find each choice of some rows, and not all, that explains the recorded sums by edits of their marks."""
    missing = (recorded.amount - marked.amount, recorded.rows - marked.rows)
    return [
        some
        for size in range(1, len(rows))
        for some in combinations(rows, size)
        if (_amount(some), _row_shift(some)) == missing
    ]


def _agreement(one: Side, other: Side) -> int:
    """Count in how many figures two sides agree."""
    return sum(mine == its for mine, its in zip(one, other, strict=True))


def _row_by_row(group: Disagreement) -> Iterator[Disagreement]:
    for row_id, amount, shift in zip(group.ids, group.amounts, group.row_shifts, strict=True):
        yield group._replace(rows=1, amount=amount, row_shift=shift, ids=[row_id], amounts=[amount], row_shifts=[shift])


def _grouped(rows: Iterable[Disagreement]) -> list[Disagreement]:
    """Put together again what was told apart row by row."""
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
