"""The breaker stops a consumer at a run or a share of refused messages, whatever batches they come in."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projector.consume.circuit_breaker import LATE, SEEN_MIN, WINDOW_MESSAGES, Breaker, BreakerHistory
from projector.errors import TooManyRefusedError

GOOD: list[str | None] = [None]
BAD: list[str | None] = ["not-json"]


def breaker(run_max: int = 1000, share_max: float = 0.5) -> Breaker:
    return Breaker(run_max=run_max, share_max=share_max)


def test_a_run_up_to_the_limit_passes_and_the_next_message_does_not() -> None:
    one = breaker(share_max=1)
    one.observe(BAD * 1000)
    with pytest.raises(
        TooManyRefusedError, match=r"1,001 messages in a row were refused.*PROJECTOR_REFUSED_RUN_MAX=1000"
    ):
        one.observe(BAD)


def test_an_accepted_message_ends_a_run() -> None:
    one = breaker(share_max=1)
    for _ in range(5):
        one.observe(BAD * 1000 + GOOD)


def test_a_share_counts_from_a_thousand_messages_on() -> None:
    one = breaker(run_max=0)
    one.observe(BAD * (SEEN_MIN - 1))
    with pytest.raises(
        TooManyRefusedError, match=r"1,000 of the last 1,000 messages.*PROJECTOR_REFUSED_SHARE_MAX=0\.5"
    ):
        one.observe(BAD)


def test_half_of_what_is_read_may_be_refused_and_no_more() -> None:
    one = breaker()
    one.observe((GOOD + BAD) * WINDOW_MESSAGES)
    with pytest.raises(TooManyRefusedError, match="5,001 of the last 10,000"):
        one.observe(BAD)


def test_what_left_the_window_no_longer_counts() -> None:
    one = breaker()
    one.observe(GOOD * WINDOW_MESSAGES + (BAD + GOOD) * 5000 + GOOD * WINDOW_MESSAGES + (BAD + GOOD) * 5000)


def test_the_line_names_the_most_frequent_reason_and_how_to_go_on() -> None:
    one = breaker(run_max=5)
    with pytest.raises(TooManyRefusedError) as stopped:
        one.observe(["not-json", "wrong-topic", "wrong-topic", "wrong-topic", "not-json", "wrong-topic"])
    line = str(stopped.value)
    assert "most of them wrong-topic (4)" in line
    assert "PROJECTOR_REFUSED_RUN_MAX=0 PROJECTOR_REFUSED_SHARE_MAX=1" in line
    assert "projector dead-letters list" in line
    assert stopped.value.exit_code == 1


def test_the_settings_that_the_line_names_are_no_limits() -> None:
    breaker(run_max=0, share_max=1).observe(BAD * 3 * WINDOW_MESSAGES)


def test_what_postgresql_refused_counts_in_the_share() -> None:
    one = breaker()
    one.observe(GOOD * 2000)
    one.observe_late(1000)
    with pytest.raises(TooManyRefusedError, match=f"1,001 of the last 2,000 .* {LATE}"):
        one.observe_late(1)


def test_it_remembers_what_the_consumer_before_it_refused() -> None:
    one = breaker()
    one.restore(BreakerHistory(seen=10_000, refused={"not-json": 900}, run=900))
    one.observe(BAD * 100)
    with pytest.raises(TooManyRefusedError, match="1,001 messages in a row"):
        one.observe(BAD)

    other = breaker()
    other.restore(BreakerHistory(seen=10_000, refused={"not-json": 3000, "wrong-topic": 2000}, run=0))
    other.observe(GOOD)
    with pytest.raises(TooManyRefusedError, match="5,001 of the last 10,000"):
        other.observe(BAD)


def test_partitions_given_later_change_nothing() -> None:
    one = breaker()
    one.observe(GOOD)
    one.restore(BreakerHistory(seen=10_000, refused={"not-json": 9000}, run=5000))
    one.observe(BAD * 500)


@given(
    st.lists(st.booleans(), max_size=60), st.integers(1, 7), st.integers(0, 8), st.lists(st.integers(0, 60), max_size=5)
)
def test_where_batches_are_cut_makes_no_difference(
    refused: list[bool], run_max: int, remembered: int, cuts: list[int]
) -> None:
    reasons = [BAD[0] if bad else None for bad in refused]
    edges = [0, *sorted(cuts), len(reasons)]
    history = BreakerHistory(
        seen=20, refused={"not-json": remembered} if remembered else {}, run=min(remembered, run_max)
    )
    one_by_one = _stopped_in(run_max, history, [[reason] for reason in reasons])
    in_batches = _stopped_in(run_max, history, [reasons[start:end] for start, end in pairwise(edges)])
    if one_by_one is None or in_batches is None:
        assert one_by_one is in_batches
    else:
        start, end = edges[in_batches], edges[in_batches + 1]
        assert start <= one_by_one < end


def _stopped_in(run_max: int, history: BreakerHistory, batches: list[list[str | None]]) -> int | None:
    """Return the index of the batch that it stopped at, or None where it didn't."""
    one = breaker(run_max)
    one.restore(history)
    for index, batch in enumerate(batches):
        try:
            one.observe(batch)
        except TooManyRefusedError:
            return index
    return None


@settings(max_examples=20)  # each of them counts thousands
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6000)), max_size=8), st.integers(700, 9000))
def test_its_count_is_the_windows(runs: list[tuple[bool, int]], size: int) -> None:
    """Held against counting all of the last 10,000 anew after each batch."""
    reasons = [BAD[0] if bad else None for bad, length in runs for _ in range(length)]
    one = breaker(run_max=0, share_max=1)
    for start in range(0, len(reasons), size):
        one.observe(reasons[start : start + size])
        seen = reasons[: start + size][-WINDOW_MESSAGES:]
        share = sum(reason is not None for reason in seen) / len(seen)
        assert one.share == share
