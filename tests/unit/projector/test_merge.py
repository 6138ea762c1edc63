"""What a transaction did, in numbers."""

from projector.consume.merge import Applied


def test_two_transactions_are_summed_and_what_is_left_was_stale() -> None:
    one = Applied(events=10, applied=5, refused=2, conflicts=1)
    assert one.stale == 3
    assert one + Applied(events=100, applied=30, refused=20, conflicts=40) == Applied(
        events=110, applied=35, refused=22, conflicts=41
    )
