"""Chunks find their size, rows their rate, and the consumers come first."""

from time import monotonic
from typing import Final

import pytest

from backfill.runs.tally import Tally
from backfill.throttle.governor import (
    BASELINE_CHECKS,
    DUTY_CYCLE_MIN,
    LAG_MIN,
    TRANSACTION_MS_FINE,
    Governor,
    Observation,
    next_duty_cycle,
    overload_reason,
)
from backfill.throttle.pace import SIZE_FIRST, SIZE_MAX, SIZE_MIN, TARGET_SECONDS, Pace, Rests, RowRate, next_size
from tests.unit.backfill.examples import run

CALM: Final = Observation(transaction_ms=40.0, lag=100)

REST_SECONDS: Final = 60.0


@pytest.mark.parametrize("microseconds_a_key", [10, 100, 1000])
def test_a_chunk_comes_to_take_the_time_wanted(microseconds_a_key: int) -> None:
    size = SIZE_FIRST
    for _ in range(12):
        size = next_size(size, size * microseconds_a_key / 1e6)
    wanted = TARGET_SECONDS / (microseconds_a_key / 1e6)
    assert size == pytest.approx(min(SIZE_MAX, wanted), rel=0.05)


def test_one_slow_chunk_does_not_upset_the_size_nor_can_any_make_it_too_small_or_too_large() -> None:
    assert next_size(4000, 100.0) == 2000
    assert next_size(SIZE_MIN, 100.0) == SIZE_MIN
    assert next_size(SIZE_MAX, 0.0) == SIZE_MAX


def test_a_size_that_somebody_chose_stays() -> None:
    pace = Pace()
    pace.after(run(chunk_size=7), Tally(), 0.001)
    assert pace.size(run(chunk_size=7)) == 7
    assert pace.size(run()) == 2 * SIZE_FIRST


def test_the_longest_rest_counts_and_a_signal_ends_it() -> None:
    asked: list[float] = []

    class Asking:
        def __init__(self, reason: str, seconds: float) -> None:
            self.reason, self._seconds = reason, seconds

        def __call__(self, *_: object) -> float:
            asked.append(self._seconds)
            return self._seconds

    rests = Rests()
    pace = Pace([Asking("rows_max", 0.0), Asking("consumers", REST_SECONDS)], lambda: len(asked) == 2, rests)
    began = monotonic()
    pace.after(run(), Tally(), 0.1)
    assert monotonic() - began < REST_SECONDS
    assert rests.seconds().keys() == {"consumers"}


def test_no_rest_is_no_reason() -> None:
    rests = Rests()
    Pace([Governor(CALM)], rests=rests).after(run(), Tally(), 0.1)
    Pace(rests=rests).after(run(), Tally(), 0.1)
    assert rests.seconds() == {}


def test_rests_add_up_by_what_asked_for_them() -> None:
    governor, rests = Governor(CALM), Rests()
    governor.duty_cycle = 0.5
    pace = Pace([governor, RowRate(1e9)], rests=rests)
    for _ in range(3):
        pace.after(run(), Tally(), 0.001)
    assert rests.seconds().keys() == {"consumers"}
    assert rests.seconds()["consumers"] >= 0.003


def test_rows_are_held_to_their_rate_whoever_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.throttle.pace.monotonic", lambda: 1000.0)
    rate = RowRate(1000)
    rests = [rate(run(), Tally(history_rows=500), 0.0) for _ in range(4)]
    assert rests == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert RowRate(1000)(run(), Tally(history_rows=500), 2.0) == 0.0, "what took longer than allowed owes nothing"


def test_consumers_are_pressed_where_transactions_or_lag_have_grown() -> None:
    assert not overload_reason(CALM, CALM)
    assert not overload_reason(Observation(transaction_ms=None, lag=90_000), CALM), "none is at work"
    assert "transactions take 200 ms, 40 ms before the run" in overload_reason(
        Observation(transaction_ms=200.0, lag=0), CALM
    )
    assert "transactions take 200 ms, none before the run" in overload_reason(
        Observation(transaction_ms=200.0, lag=0), Observation(transaction_ms=None, lag=0)
    )
    assert "90,000 messages behind" in overload_reason(Observation(transaction_ms=40.0, lag=90_000), CALM)


@pytest.mark.parametrize("lag", [0, LAG_MIN, None])
@pytest.mark.parametrize("before", [None, 1.0, 26.0])
def test_what_is_small_anyhow_presses_nobody_whatever_the_ratio(before: float | None, lag: int | None) -> None:
    baseline = Observation(transaction_ms=before, lag=0)
    for small in (53.0, TRANSACTION_MS_FINE):
        assert not overload_reason(Observation(transaction_ms=small, lag=lag), baseline)
    assert overload_reason(Observation(transaction_ms=TRANSACTION_MS_FINE + 1, lag=lag), baseline)


def test_what_is_slow_already_is_measured_by_its_own_baseline() -> None:
    slow = Observation(transaction_ms=400.0, lag=0)
    assert not overload_reason(Observation(transaction_ms=600.0, lag=0), slow)
    assert overload_reason(Observation(transaction_ms=601.0, lag=0), slow)


def test_a_run_is_not_slowed_down_below_the_limit() -> None:
    governor = Governor(Observation(transaction_ms=26.0, lag=0))
    for _ in range(20):
        governor.update(Observation(transaction_ms=53.0, lag=12))
    assert (governor.duty_cycle, governor(run(), Tally(), 0.2)) == (1.0, 0.0)


def test_a_part_shrinks_at_once_to_no_less_than_a_tenth_and_grows_back() -> None:
    parts = [1.0]
    for _ in range(5):
        parts.append(next_duty_cycle(parts[-1], "pressed"))
    assert parts[:3] == [1.0, 0.5, 0.25]
    assert parts[-1] == DUTY_CYCLE_MIN
    for _ in range(11):
        parts.append(next_duty_cycle(parts[-1], ""))
    assert parts[-1] == 1.0


def test_work_is_no_more_than_its_part_and_why_is_said_when_that_changes(capsys: pytest.CaptureFixture[str]) -> None:
    governor = Governor(CALM)
    assert governor(run(), Tally(), 0.2) == 0.0
    slow = Observation(transaction_ms=500.0, lag=0)
    for _ in range(2):
        governor.update(slow)
    assert governor(run(), Tally(), 0.2) == pytest.approx(0.6)
    for _ in range(12):
        governor.update(CALM)
    assert governor(run(), Tally(), 0.2) == 0.0
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "throttling" in line]
    assert len(lines) == 3
    assert "transactions take 500 ms" in lines[0]
    assert "throttling ended" in lines[-1]


def test_what_transactions_take_beside_a_run_at_its_least_becomes_usual() -> None:
    governor = Governor(CALM)
    for _ in range(4 + BASELINE_CHECKS):
        governor.update(Observation(transaction_ms=500.0, lag=0))
    assert governor.baseline.transaction_ms == 500.0
    governor.update(Observation(transaction_ms=520.0, lag=0))
    assert governor.duty_cycle > DUTY_CYCLE_MIN
