"""A consumer that can read no more while the clock is being moved waits for that, and does not turn in circles."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from projector.consume.clock_schedule import ClockSchedule

SECONDS: Final = 60.0


class Moving:
    """A writer that moves the clock for as long as a test wants."""

    def __init__(self) -> None:
        self.moved: Future[float] = Future()

    def advance_clock(self) -> Future[float]:
        return self.moved


def test_who_waits_wakes_when_the_clock_was_moved() -> None:
    writer: Any = Moving()
    schedule = ClockSchedule(writer)
    schedule.wait(SECONDS)  # returns at once: nothing is under way
    assert not schedule.look()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(schedule.wait, SECONDS)
        assert not waiting.done()
        writer.moved.set_result(SECONDS)
        waiting.result(SECONDS)
    assert schedule.look()
