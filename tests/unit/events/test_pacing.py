"""`events simulate --rate`: as many events as are due, measured from the start, without a pause for each."""

import os
import time
from pathlib import Path

import pytest

from events.simulate.pacing import TICK_SECONDS, paced
from tests.conftest import RunCommand, StartCommand, WaitUntil


class Clock:
    """A clock that only pauses move on, as long as they ask for and a little longer."""

    def __init__(self, late: float = 0.0) -> None:
        self.now = 100.0
        self.pauses = 0
        self._late = late

    def pause(self, seconds: float) -> None:
        self.now += seconds + self._late
        self.pauses += 1


@pytest.mark.parametrize("per_second", [0.5, 3, 49, 1_000, 20_000])
@pytest.mark.parametrize("late", [0.0, 0.013])
def test_at_every_moment_as_many_are_given_as_are_due(per_second: float, late: float) -> None:
    clock, flushes, given = Clock(late), list[int](), list[float]()
    count = max(10, int(per_second * 5))
    for _ in paced(
        iter(range(count)),
        per_second,
        before_pause=lambda: flushes.append(1),
        clock=lambda: clock.now,
        pause=clock.pause,
    ):
        given.append(clock.now - 100.0)
    for number, at in enumerate(given):
        due = number / per_second
        assert due - 1e-5 <= at <= due + TICK_SECONDS + late + 1e-6
    assert len(flushes) == clock.pauses <= min(count, given[-1] / TICK_SECONDS + 1)


def test_who_takes_them_late_gets_what_is_due_without_a_pause() -> None:
    clock = Clock()
    stream = paced(iter(range(100)), 10, before_pause=lambda: None, clock=lambda: clock.now, pause=clock.pause)
    assert next(stream) == 0
    clock.now += 5
    assert [next(stream) for _ in range(50)] == list(range(1, 51))
    assert clock.pauses == 1


def test_the_rate_is_kept_and_each_event_is_written_when_it_is_due(
    start_command: StartCommand, wait_until: WaitUntil
) -> None:
    began = time.monotonic()
    slow = start_command("events", "simulate", "--customers", "9", "--events", "40", "--rate", "20", env=os.environ)
    wait_until(lambda: 0 < _lines(slow.stdout) < 40, what="some of the events, before the last is due")
    wait_until(lambda: slow.process.poll() is not None, what="the end")
    assert time.monotonic() - began >= 39 / 20
    assert (slow.process.returncode, _lines(slow.stdout)) == (0, 40)


def test_a_rate_of_zero_is_refused(run_command: RunCommand) -> None:
    done = run_command("events", "simulate", "--rate", "0", env=os.environ)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--rate" in done.stderr


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")
