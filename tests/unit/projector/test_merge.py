"""What a transaction did, in numbers."""

import pytest

from projector.consume.applied import NOTHING, Applied
from projector.consume.conflicts import NAMED_MAX


def test_two_transactions_are_summed_and_what_is_left_was_stale() -> None:
    one = Applied(events=10, applied=5, refused=2, conflicts=1)
    assert one.stale == 3
    assert one + Applied(events=100, applied=30, refused=20, conflicts=40) == Applied(
        events=110, applied=35, refused=22, conflicts=41
    )


def test_the_first_conflicts_of_several_transactions_are_named() -> None:
    named = [Applied(conflicts=1, first_conflicts=(f"billing.invoices/0@{offset} (invoice 4)",)) for offset in range(9)]
    total = sum(named, NOTHING)
    assert total.conflicts == 9
    assert total.first_conflicts == tuple(each.first_conflicts[0] for each in named[:NAMED_MAX])


@pytest.mark.parametrize(
    ("applied", "said"),
    [
        (NOTHING, "0 messages read, 0 applied"),
        (Applied(events=1, applied=1), "1 message read, 1 applied"),
        (
            Applied(events=2000, applied=1990, refused=1, conflicts=2),
            "2,000 messages read, 1,990 applied, 9 duplicate or superseded, 1 refused as a dead letter, 2 conflicts",
        ),
    ],
)
def test_what_was_applied_is_said_in_words(applied: Applied, said: str) -> None:
    assert str(applied) == said
