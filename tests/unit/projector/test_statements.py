"""Statements are put together from their parts by the loader, and a file that cannot be is refused with its reason."""

import pytest

from projector.database.statements import compose

FILE = """\
-- Prose.

-- name: numbers
-- Some numbers.
numbers AS (
    SELECT n FROM generate_series(1, 3) AS n
)

-- name: doubled
-- Twice as much.
-- with: numbers
doubled AS (SELECT 2 * n AS n FROM numbers WHERE {small})

-- name: small
-- Those that are small.
(n < %(limit)s OR n IS NULL)

-- name: add_up
-- Their sum.
-- with: numbers, doubled
SELECT sum(n) FROM doubled;

-- name: count_squares
-- with: numbers
-- fill: small
WITH squares AS (SELECT n * n AS n FROM numbers)
SELECT count(*) FROM squares WHERE NOT {small};

-- name: alone
-- Needs nothing.
SELECT 1;
"""


def test_with_queries_come_before_a_statement_each_once_and_in_order() -> None:
    text = FILE.replace("-- Twice as much.", "-- Twice as much.\n-- fill: small")
    found = compose("here", text)
    assert found.keys() == {"add_up", "count_squares", "alone"}, "parts are no statements"
    assert " ".join(found["add_up"].split()) == (
        "WITH numbers AS ( SELECT n FROM generate_series(1, 3) AS n ), "
        "doubled AS (SELECT 2 * n AS n FROM numbers WHERE (n < %(limit)s OR n IS NULL)) SELECT sum(n) FROM doubled;"
    )


def test_a_statement_that_has_with_queries_of_its_own_keeps_them_behind_its_parts() -> None:
    assert " ".join(compose("here", FILE)["count_squares"].split()) == (
        "WITH numbers AS ( SELECT n FROM generate_series(1, 3) AS n ), squares AS (SELECT n * n AS n FROM numbers) "
        "SELECT count(*) FROM squares WHERE NOT (n < %(limit)s OR n IS NULL);"
    )


def test_a_part_may_be_given_by_another_file() -> None:
    found = compose("here", "-- name: a\n-- fill: small\nSELECT {small};", small="-- Small.\nn < 3")
    assert found == {"a": "-- fill: small\nSELECT n < 3;"}
    with pytest.raises(ValueError, match="each its own"):
        compose("here", FILE, small="n < 3")


def test_a_statement_without_parts_is_left_as_it_is() -> None:
    assert compose("here", FILE)["alone"] == "-- Needs nothing.\nSELECT 1;"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT 1;", "here: statements need names"),
        ("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;", "here: statements need names"),
        ("-- name: a\n-- with: b, c\nSELECT 1;\n-- name: b\nb AS (SELECT)", r"no parts of these names: \['c'\]"),
        ("-- name: a\n-- fill: c\nSELECT {c};", r"no parts of these names: \['c'\]"),
        (
            "-- name: a\n-- with: b\nSELECT;\n-- name: b\n-- with: c\nb AS ()\n-- name: c\n-- with: b\nc AS ()",
            "here: a part is part of itself: a > b > c > b",
        ),
        ("-- name: a\n-- with: b\n-- name: b\n-- with: a", "a part is part of itself: a > b > a"),
        (
            "-- name: a\n-- fill: b\nSELECT {b};\n-- name: b\n-- fill: b\n{b}",
            "here: a part is part of itself: a > b > b",
        ),
    ],
)
def test_a_file_that_cannot_be_put_together_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compose("here", text)
