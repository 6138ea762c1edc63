"""Hand events on at a rate: as many as are due, then a pause; each is measured from the start, so that none adds up."""

from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Final, TypeVar

TICK_SECONDS: Final = 0.02  # the shortest pause: a faster rate hands on several events after each
ROUNDING: Final = 1e-6  # of an event: a pause that ends exactly when one is due may seem to end before it

Item = TypeVar("Item")


def paced(
    items: Iterator[Item],
    per_second: float,
    *,
    before_pause: Callable[[], object],
    clock: Callable[[], float] = monotonic,
    pause: Callable[[float], object] = sleep,
) -> Iterator[Item]:
    """Yield the items, the first at once; whoever takes them too slowly gets the next ones without a pause.

    Args:
        items: in order.
        per_second: how many a second.
        before_pause: called before each pause, to hand on what is buffered.
        clock: seconds, from anywhere.
        pause: waits so many seconds.

    """
    start, due = clock(), 1
    for number, item in enumerate(items):
        while number >= due:
            before_pause()
            now = clock()
            pause(max(start + number / per_second - now, TICK_SECONDS))
            due = int((clock() - start) * per_second + ROUNDING) + 1
        yield item
