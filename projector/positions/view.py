"""What PostgreSQL and the broker say of each partition, and whether a consumer could start there. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from events.contract.types import TopicPartition
from projector.errors import PositionImpossible
from projector.positions import store as positions
from projector.positions.store import Log, Position


@dataclass(frozen=True, kw_only=True)
class PartitionState:
    """One partition: the stored position, the broker's log, and why the two do not fit, where they don't."""

    topic: str
    partition: int
    position: int | None
    low: int | None
    high: int | None
    lag: int | None
    problem: str | None


def partition_states(
    stored: Mapping[TopicPartition, Position], logs: Mapping[TopicPartition, Log]
) -> list[PartitionState]:
    """Hold every stored position against the broker's log, and name the partitions that were never read."""
    return [
        _partition_state(place, stored.get(place), logs.get(place)) for place in sorted(stored.keys() | logs.keys())
    ]


def start_of(position: Position | None, log: Log, place: TopicPartition) -> int:
    """Return where the log still unread begins: at the position, or at its beginning where that cannot be served."""
    return log.low if position is None or _problem(place, position, log) else position.next_offset


def _partition_state(place: TopicPartition, position: Position | None, log: Log | None) -> PartitionState:
    if log is None:
        problem: str | None = "the broker has no such partition"
    else:
        problem = None if position is None else _problem(place, position, log)
    return PartitionState(
        topic=place[0],
        partition=place[1],
        position=None if position is None else position.next_offset,
        low=None if log is None else log.low,
        high=None if log is None else log.high,
        lag=None if log is None or problem else log.high - start_of(position, log, place),
        problem=problem,
    )


def _problem(place: TopicPartition, position: Position, log: Log) -> str | None:
    try:
        positions.require_servable(place, position, log)
    except PositionImpossible as impossible:
        return str(impossible)
    return None
