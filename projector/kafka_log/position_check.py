"""Whether the broker can still serve a stored position, and which command recovers if it cannot. Pure: no I/O.

An unservable position is never reset automatically: the consumer stops, and the error says what happened to the log.
"""

from dataclasses import dataclass

from events.contract.types import TopicPartition
from events.runtime.wording import counted
from projector.errors import PositionImpossibleError
from projector.kafka_log.log_identity import Record
from projector.kafka_log.partitions import PartitionLog


@dataclass(frozen=True, kw_only=True)
class Position:
    """What PostgreSQL holds of one partition: the next offset to apply, and what identifies the log it belongs to.

    Args:
        next_offset: the next offset to apply.
        topic_id: of the topic that was read; None for a position from before ids were stored.
        last: the message applied last, where it is known.

    """

    next_offset: int
    topic_id: str | None
    last: Record | None = None

    @property
    def leader_epoch(self) -> int | None:
        """The leader epoch of the message right before the position, for the broker to check against its log.

        None where that offset holds a transaction marker: the marker may belong to a later epoch.
        """
        adjacent = self.last is not None and self.last.offset + 1 == self.next_offset
        return self.last.leader_epoch if self.last is not None and adjacent else None


def require_servable(place: TopicPartition, position: Position, log: PartitionLog) -> None:
    """Refuse a position that the broker cannot serve.

    Raises:
        PositionImpossibleError: naming the partition and the command that recovers.

    """
    require_same_topic(place, position, log)
    name, offset = f"{place[0]}/{place[1]}", position.next_offset
    again = f"`projector positions set {place[0]} {place[1]} earliest`"
    if offset < log.low:
        raise PositionImpossibleError(
            f"{name}: the position is {offset}, but the broker's log starts at {log.low}: retention deleted "
            f"{counted(log.low - offset, 'offset')} that were not applied yet; publish them again from their "
            f"source, then {again}"
        )
    if offset > log.high:
        raise PositionImpossibleError(
            f"{name}: the position is {offset}, but the broker's log ends at {log.high}: the broker lost messages, or "
            f"is another broker than before; {again} replays what it has"
        )
    if (contradiction := _contradiction(position, log)) is not None:
        raise PositionImpossibleError(
            f"{name}: the position is {offset}, but {contradiction}: the log was truncated and has grown again, as "
            f"after a restore from an older copy; {again} replays what it has; publish again what it lost"
        )


def require_same_topic(place: TopicPartition, position: Position, log: PartitionLog) -> None:
    """Refuse a position that was stored for an earlier topic of the same name.

    Raises:
        PositionImpossibleError: naming the partition and the command that recovers.

    """
    if position.topic_id is not None and position.topic_id != log.topic_id:
        name = f"{place[0]}/{place[1]}"
        raise PositionImpossibleError(created_again(name, f"since position {position.next_offset} was stored"))


def created_again(name: str, when: str) -> str:
    """Write that the topic of a partition (`topic/3`), or a topic, was created again, and which command recovers."""
    topic = name.partition("/")[0]
    return (
        f"{name}: the topic was deleted and created again {when}; `projector positions set {topic} all earliest` "
        "starts at its beginning"
    )


def deleted(topic: str) -> str:
    """Write that a topic was deleted while it was read, and which commands recover."""
    return (
        f"{topic}: the topic was deleted while it was read; `projector init` creates it, then "
        f"`projector positions set {topic} all earliest` starts at its beginning"
    )


def _contradiction(position: Position, log: PartitionLog) -> str | None:
    """Return what shows that this is not the log that was read up to the position."""
    if log.reread is None or position.last is None:
        return None
    if log.reread.truncated is not None:
        return f"the broker reports: {log.reread.truncated}"
    if position.last.offset < log.low or position.last == log.reread.record:
        return None
    what = "no message" if log.reread.record is None else "another message than the one that was applied"
    return f"offset {position.last.offset} holds {what}"
