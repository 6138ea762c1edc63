"""Evidence in a table says what was edited, and by how much."""

import pytest

from backfill.reports.text_report import describe_evidence


@pytest.mark.parametrize(
    ("amount", "rows", "words"),
    [
        ("-300.00", 0, "the balance row was edited by +300.00; history counts the same rows"),
        ("300.00", 0, "the balance row was edited by -300.00; history counts the same rows"),
        ("-300.00", -1, "the balance row counts 1 row of +300.00 that history does not have"),
        ("5250.00", 2, "history counts 2 rows of +5,250.00 that the balance row does not have"),
    ],
)
def test_what_no_history_row_explains_is_said_of_the_balance_row(amount: str, rows: int, words: str) -> None:
    """The amount is what was counted, less what is recorded: more recorded than counted is an edit upwards."""
    assert describe_evidence({"projection": {"amount": amount, "rows": rows}}) == words
