"""What a run reads of the log: the offsets of each partition from its beginning up to the stored position.

Everything below a position is applied, so the positions at the run's start bound what history must contain. They are
stored with the run, so a process that resumes it reads the same. Chunks have numbers as keys, so the ranges are laid
end to end: key 0 is the first offset of the first range.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from events.contract.types import ENTITIES, Entity, TopicPartition, topic_of
from events.runtime.errors import StateError
from projector.kafka_log.partitions import PartitionLog
from projector.kafka_log.position_check import Position

BLOCK: Final = 4096  # offsets for which one row of `log_blocks` keeps whether they are confirmed: half a kilobyte
KEY: Final = "log"
"""The member of a run's options that holds the plan."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Offsets of one partition, from `low` up to, not including, `end`; `high` is where the log ended at the time."""

    entity: Entity
    topic: str
    partition: int
    topic_id: str
    low: int
    end: int
    high: int


class Part(NamedTuple):
    """Offsets of one range, from `start` up to, not including, `end`."""

    range: Range
    start: int
    end: int


@dataclass(frozen=True)
class Plan:
    """Ranges in the order in which they are read."""

    ranges: Sequence[Range]

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Plan":
        """Read the plan from a run's options."""
        return cls([Range(**each) for each in options[KEY]])

    @property
    def options(self) -> dict[str, Any]:
        """The options stored with a run."""
        return {KEY: [asdict(each) for each in self.ranges]}

    @property
    def total(self) -> int:
        """The number of offsets."""
        return sum(each.end - each.low for each in self.ranges)

    def of_entity(self, entity: Entity) -> list[Range]:
        """Return the ranges of one topic."""
        return [each for each in self.ranges if each.entity == entity]

    def next_end(self, after: int, size: int) -> int | None:
        """Find the last key of the next chunk: about `size` offsets of a range, to a block's end; None behind all."""
        at = max(0, after)
        for base, each in self._laid_out():
            length = each.end - each.low
            if at < base + length:
                start = each.low + at - base
                end = min(each.end, (start // BLOCK + max(1, size // BLOCK)) * BLOCK)
                return base + end - each.low
        return None

    def part(self, after: int, last: int) -> Part:
        """Find the offsets of a chunk."""
        at = max(0, after)
        base, each = next((base, each) for base, each in self._laid_out() if base <= at < base + each.end - each.low)
        return Part(each, each.low + at - base, each.low + last - base)

    def _laid_out(self) -> Iterator[tuple[int, Range]]:
        base = 0
        for each in self.ranges:
            yield base, each
            base += each.end - each.low


def plan_of(
    positions: Mapping[TopicPartition, Position], logs: Mapping[TopicPartition, PartitionLog], prefix: str
) -> Plan:
    """Plan to read what the broker still has of what is applied.

    Raises:
        StateError: the log is not the one that was read, or nothing was read.

    """
    ranges = []
    for entity in ENTITIES:
        topic = topic_of(entity, prefix)
        for place in sorted(place for place in positions if place[0] == topic):
            position = positions[place]
            log = require_same(place, position.topic_id, position.next_offset, logs.get(place))
            end = max(log.low, position.next_offset)
            ranges.append(
                Range(
                    entity=entity, topic=topic, partition=place[1], topic_id=log.topic_id,
                    low=log.low, end=end, high=log.high,
                )
            )  # fmt: skip
    if not ranges:
        raise StateError("no consumer of this group has applied anything yet: there is nothing to compare history with")
    return Plan(ranges)


def require_same(place: TopicPartition, topic_id: str | None, end: int, log: PartitionLog | None) -> PartitionLog:
    """Refuse a log that history does not come from: another topic's, or one that ends too early.

    Raises:
        StateError: naming the partition.

    """
    name = f"{place[0]}/{place[1]}"
    if log is None:
        raise StateError(f"{name}: history was read from it, but the broker has no such partition")
    if topic_id is not None and topic_id != log.topic_id:
        raise StateError(
            f"{name}: the topic was recreated, so history is not from this log; once "
            f"`projector positions set {place[0]} all earliest` and a consumer have read it, the two can be compared"
        )
    if end > log.high:
        raise StateError(
            f"{name}: {end} offsets are applied, but the broker's log ends at {log.high}: it was truncated"
        )
    return log


def require_unchanged(plan: Plan, logs: Mapping[TopicPartition, PartitionLog]) -> None:
    """Refuse to go on with a topic that was recreated or truncated meanwhile.

    Raises:
        StateError: naming the partition.

    """
    for each in plan.ranges:
        place = each.topic, each.partition
        require_same(place, each.topic_id, each.end, logs.get(place))
