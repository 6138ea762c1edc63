"""How far a consumer has applied its partitions, beside how far their logs reach. Pure."""

from collections.abc import Iterable, Mapping

from events.contract.types import TopicPartition

Offsets = Mapping[TopicPartition, int]


class Progress:
    """The next offset to apply of each partition that this consumer has."""

    def __init__(self) -> None:
        self._applied: dict[TopicPartition, int] = {}

    @property
    def applied(self) -> Offsets:
        """Return the next offset to apply of each partition."""
        return self._applied

    def advance(self, offsets: Offsets) -> None:
        """Take the offsets at which partitions start, or up to which they were applied."""
        self._applied.update(offsets)

    def leave(self, places: Iterable[TopicPartition]) -> Offsets:
        """Remove partitions, and return how far they were applied."""
        return {place: self._applied.pop(place) for place in places if place in self._applied}

    def reached(self, ends: Offsets, places: Iterable[TopicPartition]) -> bool:
        """Tell whether each of some partitions is applied up to its end, where it has one."""
        return all(self._applied.get(place, 0) >= ends.get(place, 0) for place in places)

    def lag(self, ends: Offsets) -> int:
        """Count the messages below the ends that are not applied; none where an end is unknown (negative)."""
        return sum(max(0, end - self._applied.get(place, 0)) for place, end in ends.items())

    def is_all(self, ends: Offsets) -> bool:
        """Tell whether every end is known and applied."""
        return all(0 <= end <= self._applied.get(place, 0) for place, end in ends.items())
