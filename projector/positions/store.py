"""The table `positions`: for each group and partition the next offset to apply, and what identifies the log.

A partition that this group never read starts at the broker's earliest message. Whether the broker can serve a stored
position is decided by `projector.kafka_log.position_check`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final

from psycopg import Connection, Cursor

from events.contract.types import TopicPartition
from projector.database.statements import statements
from projector.errors import PositionImpossibleError
from projector.kafka_log.log_identity import Record
from projector.kafka_log.partitions import PartitionLog
from projector.kafka_log.position_check import Position

SQL: Final = statements("projector.positions", "positions.sql")


@dataclass(frozen=True, kw_only=True)
class Advance:
    """One position to be moved by a batch: from where, to where, and the last message between the two.

    Args:
        start: the offset that the position must have now.
        end: the offset that it gets.
        topic_id: the topic id that the position must have now.
        last: the last message applied; None where only transaction markers were passed.

    """

    start: int
    end: int
    topic_id: str | None
    last: Record | None


def read(connection: Connection[Any], group_id: str) -> dict[TopicPartition, Position]:
    """Read a group's positions."""
    rows = connection.execute(SQL["read_positions"], {"group_id": group_id})
    return {(topic, partition): _position(*position) for topic, partition, *position in rows}


def begin(
    connection: Connection[Any], group_id: str, logs: Mapping[TopicPartition, PartitionLog]
) -> dict[TopicPartition, Position]:
    """Return the group's positions, after creating those of given partitions never read; none is checked here.

    Raises:
        PositionImpossibleError: the group is new, and another group has filled these tables.

    """
    places = sorted(logs)
    parameters = {
        "group_id": group_id,
        "topics": [topic for topic, _ in places],
        "partitions": [partition for _, partition in places],
        "offsets": [logs[place].low for place in places],
        "topic_ids": [logs[place].topic_id for place in places],
    }
    _require_known_group(connection, parameters)
    connection.execute(SQL["create_positions"], parameters)
    connection.execute(SQL["adopt_topics"], parameters)
    return read(connection, group_id)


def move(
    cursor: Cursor[Any], group_id: str, advances: Mapping[TopicPartition, Advance], transaction_ms: float | None
) -> dict[TopicPartition, int]:
    """Move positions by compare-and-set; return those that were moved, each with the offset up to which it counted.

    Conflicts at lower offsets were counted before the position was set back.

    Args:
        cursor: of the caller's transaction.
        group_id: whose positions.
        advances: by partition.
        transaction_ms: how long the consumer's previous transaction took.

    """
    places = sorted(advances)
    moves = [advances[place] for place in places]
    cursor.execute(
        SQL["move_positions"],
        {
            "group_id": group_id,
            "topics": [topic for topic, _ in places],
            "partitions": [partition for _, partition in places],
            "start_offsets": [each.start for each in moves],
            "end_offsets": [each.end for each in moves],
            "topic_ids": [each.topic_id for each in moves],
            "last_offsets": [each.last and each.last.offset for each in moves],
            "last_leader_epochs": [each.last and each.last.leader_epoch for each in moves],
            "last_timestamps_ms": [each.last and each.last.timestamp_ms for each in moves],
            "last_digests": [each.last and each.last.digest for each in moves],
            "transaction_ms": transaction_ms,
        },
    )
    return {(topic, partition): counted_to for topic, partition, counted_to in cursor.fetchall()}


def add_conflicts(cursor: Cursor[Any], group_id: str, conflicts: Mapping[TopicPartition, int]) -> None:
    """Add to the number of conflicts of partitions whose positions the caller's transaction has moved."""
    found = {
        "topics": [topic for topic, _ in conflicts],
        "partitions": [partition for _, partition in conflicts],
        "conflicts": [*conflicts.values()],
    }
    cursor.execute(SQL["add_conflicts"], {"group_id": group_id, **found})


def set_all(
    connection: Connection[Any],
    group_id: str,
    starts: Mapping[TopicPartition, int | None],
    targets: Mapping[TopicPartition, tuple[int, str]],
) -> int:
    """Set positions to any offset in the caller's transaction; return how many were set.

    Args:
        connection: in a transaction.
        group_id: whose positions.
        starts: the offset that each position must have now; None where there must be none.
        targets: offset and topic id that each gets.

    """
    stored = [place for place in sorted(targets) if starts[place] is not None]
    unread = [place for place in sorted(targets) if starts[place] is None]
    expected = {"start_offsets": [starts[place] for place in stored]}
    changed = connection.execute(SQL["set_positions"], {**_arrays(group_id, stored, targets), **expected}).rowcount
    return changed + connection.execute(SQL["create_positions"], _arrays(group_id, unread, targets)).rowcount


def _arrays(
    group_id: str, places: Sequence[TopicPartition], targets: Mapping[TopicPartition, tuple[int, str]]
) -> dict[str, Any]:
    return {
        "group_id": group_id,
        "topics": [topic for topic, _ in places],
        "partitions": [partition for _, partition in places],
        "offsets": [targets[place][0] for place in places],
        "topic_ids": [targets[place][1] for place in places],
    }


def _position(next_offset: int, topic_id: str | None, *last: Any) -> Position:  # noqa: ANN401 - columns of a row
    if last[0] is None:
        return Position(next_offset=next_offset, topic_id=topic_id)
    offset, leader_epoch, timestamp_ms, digest = last
    record = Record(offset=offset, leader_epoch=leader_epoch, timestamp_ms=timestamp_ms, digest=digest)
    return Position(next_offset=next_offset, topic_id=topic_id, last=record)


def _require_known_group(connection: Connection[Any], parameters: Mapping[str, Any]) -> None:
    """Refuse a group that never read anything where another has: it would read everything again beside that one."""
    row = connection.execute(SQL["other_group"], parameters).fetchone()
    if row is not None and row[0] is not None:
        group = parameters["group_id"]
        raise PositionImpossibleError(
            f"group {group} is unknown here: group {row[0]} has read these topics into this schema; set "
            f"PROJECTOR_GROUP_ID={quote(row[0])} to continue from its positions, or replay everything: "
            "`projector positions set all all earliest`"
        )
