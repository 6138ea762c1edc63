"""Move stored positions by an operator's decision: planned from what was read, applied only if that is unchanged.

The group must have no members. If one joins meanwhile, no harm is done: the position moves by compare-and-set here as
in every batch, so either this finds it changed and changes nothing, or the consumer's next batch does and is dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

from events.contract.types import TopicPartition
from events.runtime.errors import InputError, StateError
from projector.kafka_log.partitions import PartitionLog
from projector.kafka_log.position_check import Position
from projector.positions import store
from projector.positions.view import unread_from

Target = int | Literal["earliest", "latest"]
"""An offset, or an end of the log as it is now."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """One position, its old and its new offset, and what follows.

    Args:
        skipped: offsets of the log that are never read because of this.
        again: offsets that are read a second time, which changes nothing.
        lost: offsets that retention deleted before they were read.

    """

    topic: str
    partition: int
    before: int | None
    after: int
    topic_id: str
    skipped: int
    again: int
    lost: int


def plan(
    stored: Mapping[TopicPartition, Position],
    logs: Mapping[TopicPartition, PartitionLog],
    topic: str | None,
    partition: int | None,
    target: Target,
) -> list[Move]:
    """Return the moves of one partition, of all partitions of a topic, or of all partitions of all topics.

    Raises:
        InputError: the topic is none of ours, the broker has no such partition or offset, or a partition or an offset
            is given for all topics.

    """
    topics = sorted({name for name, _ in logs})
    if topic is None and (partition is not None or isinstance(target, int)):
        raise InputError("a partition's number or an offset is one topic's: with all topics, give all, then an end")
    if topic not in {None, *topics}:
        raise InputError(f"{topic} is none of the projector's topics: {', '.join(topics)}")
    places = sorted(place for place in logs if topic in {None, place[0]} and partition in {None, place[1]})
    if not places:
        raise InputError(f"{topic} has no partition {partition}, only 0 to {sum(t == topic for t, _ in logs) - 1}")
    return [_move(place, stored.get(place), logs[place], target) for place in places]


def _move(place: TopicPartition, position: Position | None, log: PartitionLog, target: Target) -> Move:
    after = {"earliest": log.low, "latest": log.high}[target] if isinstance(target, str) else target
    if not log.low <= after <= log.high:
        raise InputError(
            f"{place[0]}/{place[1]} has no offset {after}: the broker's log goes from {log.low} to {log.high}"
        )
    start = unread_from(position, log, place)
    same_topic = position is not None and position.topic_id in {None, log.topic_id}
    return Move(
        topic=place[0],
        partition=place[1],
        before=None if position is None else position.next_offset,
        after=after,
        topic_id=log.topic_id,
        skipped=max(0, after - start),
        again=max(0, start - after),
        lost=max(0, log.low - position.next_offset) if position is not None and same_topic else 0,
    )


def apply(connection: Connection[Any], group_id: str, moves: Sequence[Move]) -> None:
    """Set the positions in the caller's transaction, each only from the value that the plan was made from.

    Raises:
        StateError: one of them has changed.

    """
    starts = {(move.topic, move.partition): move.before for move in moves}
    targets = {(move.topic, move.partition): (move.after, move.topic_id) for move in moves}
    if store.set_all(connection, group_id, starts, targets) != len(moves):
        raise StateError(
            "a position has moved since it was read: nothing was changed; stop the consumer that moved it, then "
            "look again with `projector positions show`"
        )
