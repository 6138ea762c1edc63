"""Stored positions compared with the broker's log, partition by partition. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from events.contract.types import TopicPartition
from events.runtime.wording import counted
from projector.errors import PositionImpossibleError
from projector.kafka_log.partitions import PartitionLog
from projector.kafka_log.position_check import Position, require_servable


@dataclass(frozen=True, kw_only=True)
class PartitionState:
    """One partition: the stored position, the offsets of the broker's log, and the problem if the two do not match."""

    topic: str
    partition: int
    position: int | None
    low: int | None
    high: int | None
    lag: int | None
    problem: str | None


def partition_states(
    stored: Mapping[TopicPartition, Position], logs: Mapping[TopicPartition, PartitionLog]
) -> list[PartitionState]:
    """Compare every stored position with the broker's log, and list the partitions that were never read."""
    return [_state(place, stored.get(place), logs.get(place)) for place in sorted(stored.keys() | logs.keys())]


def title(group_id: str, *, left_out: int = 0) -> str:
    """Write the title of a table of positions, with how many partitions without messages it leaves out."""
    without = f" ({counted(left_out, 'partition')} without messages left out)" if left_out else ""
    return f"Positions of group {group_id}{without}"


def unread_from(position: Position | None, log: PartitionLog, place: TopicPartition) -> int:
    """Return the first unread offset: the position, or the start of the log if the position cannot be served."""
    return log.low if position is None or _problem(place, position, log) else position.next_offset


def _state(place: TopicPartition, position: Position | None, log: PartitionLog | None) -> PartitionState:
    problem = None
    if log is None:
        problem = "the broker has no such partition"
    elif position is not None:
        problem = _problem(place, position, log)
    return PartitionState(
        topic=place[0],
        partition=place[1],
        position=None if position is None else position.next_offset,
        low=None if log is None else log.low,
        high=None if log is None else log.high,
        lag=None if log is None or problem else log.high - unread_from(position, log, place),
        problem=problem,
    )


def _problem(place: TopicPartition, position: Position, log: PartitionLog) -> str | None:
    try:
        require_servable(place, position, log)
    except PositionImpossibleError as impossible:
        return str(impossible)
    return None
