"""How a chunk's keys are handed to PostgreSQL."""

from typing import Final

import pytest

from backfill.audit.comparison import GAP_MAX, Scope, array, ranges

FAR: Final = GAP_MAX + 1


@pytest.mark.parametrize(
    ("keys", "literal"), [([], "{}"), ([5], "{5}"), ([3, None, -1], "{3,NULL,-1}"), ([None], "{NULL}"), ([0], "{0}")]
)
def test_an_array_is_written_as_postgresql_reads_it(keys: list[int | None], literal: str) -> None:
    assert array(keys) == literal


@pytest.mark.parametrize(
    ("meters", "found"),
    [
        ([], ([], [])),
        ([4], ([4], [4])),
        ([4, 5, 6], ([4], [6])),
        ([6, 4, 5], ([4], [6])),
        ([1, 1 + GAP_MAX], ([1], [1 + GAP_MAX])),
        ([1, 1 + FAR], ([1, 1 + FAR], [1, 1 + FAR])),
        ([1, 2, 2 + FAR, 3 + FAR, 3 + 2 * FAR], ([1, 2 + FAR, 3 + 2 * FAR], [2, 3 + FAR, 3 + 2 * FAR])),
    ],
)
def test_meters_are_read_in_ranges_that_skip_wide_gaps(meters: list[int], found: tuple[list[int], list[int]]) -> None:
    assert ranges(meters) == found


def test_a_scope_hands_over_its_meters_owners_and_ranges() -> None:
    scope = Scope.of(([1, 2, 2 + FAR], [7, None, 8]))
    assert scope == Scope(meters=[1, 2, 2 + FAR], owners=[7, None, 8])
    lows, highs = f"{{1,{2 + FAR}}}", f"{{2,{2 + FAR}}}"
    assert scope.parameters == {"meters": f"{{1,2,{2 + FAR}}}", "owners": "{7,NULL,8}", "lows": lows, "highs": highs}


@pytest.mark.parametrize("row", [None, (None, None)])
def test_a_chunk_without_meters_is_an_empty_scope(row: tuple[None, None] | None) -> None:
    assert Scope.of(row) == Scope(meters=[], owners=[])
