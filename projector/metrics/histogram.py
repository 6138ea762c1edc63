"""Observations counted by bounds, as Prometheus's histograms are; a batch's messages are observed in one call."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

MILLISECONDS: Final = 1000  # in a second


class Histogram:
    """Counts of observations up to each bound, and their sum.

    Args:
        bounds: ascending; the last bucket, without a bound, is added.

    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def observe_ages(self, since: Sequence[int], now: float) -> None:
        """Count the ages of what began at these ascending moments: a search for each bound, not for each observation.

        Args:
            since: in milliseconds, as `now`; ages are counted in seconds.
            now: the moment from which they are counted.

        """
        before = 0
        for place, bound in enumerate(self._bounds):
            upto = len(since) - bisect_left(since, now - bound * MILLISECONDS)
            self._counts[place] += upto - before
            before = upto
        self._counts[-1] += len(since) - before
        self.sum += (now * len(since) - sum(since)) / MILLISECONDS

    def buckets(self) -> list[tuple[str, float]]:
        """Return how many observations there were up to each bound, the last one for all."""
        total, found = 0, list[tuple[str, float]]()
        for bound, count in zip([*map(str, self._bounds), "+Inf"], list(self._counts), strict=True):
            total += count
            found.append((bound, total))
        return found
