"""A rolling check is spread over its time, and never takes more than half of a connection's."""

import pytest

from backfill.throttle import pace
from backfill.throttle.pace import Remaining
from events.runtime.errors import InputError
from events.runtime.option_values import seconds


def test_a_large_database_is_checked_in_chunks_a_minute_apart_and_a_small_one_in_several() -> None:
    day = 86_400.0
    assert pace.chunk_size(1_000_000, day, 4000) == 695
    assert pace.chunk_size(100, 10.0, 4000) == 5
    assert pace.chunk_size(0, day, 4000) == 1
    assert pace.chunk_size(10**9, day, 4000) == 4000


def test_rests_fill_the_time_that_is_left() -> None:
    chunks, clock, took = Remaining(customers=1000, meters=2000).chunks(100), 0.0, 0.1
    while chunks > 0:
        clock += took + pace.pause_seconds(chunks=chunks, seconds=100 - clock - took, took=took)
        chunks -= 1
    assert clock == pytest.approx(100, abs=1)


def test_one_that_is_late_still_rests_as_long_as_it_works() -> None:
    assert pace.pause_seconds(chunks=5, seconds=-100, took=2.0) == 2.0
    assert pace.pause_seconds(chunks=0, seconds=100, took=0.5) == 0.5


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("5m", 300), ("24h", 86_400), ("1h30m", 5400), ("7d", 604_800)]
)
def test_times_are_read(text: str, expected: int) -> None:
    assert seconds("--every", text) == expected


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "0s", "1.5h", "9999d", "soon"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--every"):
        seconds("--every", text)
