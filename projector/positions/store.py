"""Where a consumer starts: PostgreSQL's position, held against what the broker can still serve.

A partition that this group never saw starts at the broker's earliest message. A stored position that the broker cannot
serve is never reset: the consumer stops, and the error says what happened and which commands recover.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from sqlalchemy import Connection

from events.contract.types import TopicPartition
from events.runtime.kafka import PROBE_SECONDS
from projector.database.statements import statements
from projector.errors import PositionImpossible, TopicMissing
from projector.kafka_log.log_identity import Record

POSITIONS: Final = statements("projector.positions", "positions.sql")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a look at the place of the message applied last came upon.

    Args:
        record: the message that stands there now; None where none does, or where the look was at the position.
        truncated: what the broker says of a leader epoch that ended before the position.

    """

    record: Record | None = None
    truncated: str | None = None


@dataclass(frozen=True, kw_only=True)
class Log:
    """What the broker holds of one partition: offsets from `low` up to, not including, `high`.

    Args:
        topic_id: which no other topic has or will have, one of the same name included.
        low: the first offset that retention has left.
        high: where the next message will stand.
        found: what `projector.kafka_log.witness` found; None where nobody looked, or nothing could be looked for.

    """

    topic_id: str
    low: int
    high: int
    found: Found | None = None


@dataclass(frozen=True, kw_only=True)
class Position:
    """What PostgreSQL says of one partition; `last` identifies the message that was applied last, where it is known."""

    next_offset: int
    topic_id: str | None
    last: Record | None = None

    @property
    def leader_epoch(self) -> int | None:
        """The epoch of the message right before the position, for the broker to say whether its log still has that.

        None where that message was a transaction's marker: it may belong to a later epoch than the one before it.
        """
        adjacent = self.last is not None and self.last.offset + 1 == self.next_offset
        return self.last.leader_epoch if self.last is not None and adjacent else None


def read(connection: Connection, group_id: str) -> dict[TopicPartition, Position]:
    """Read a group's positions."""
    rows = connection.exec_driver_sql(POSITIONS["read_positions"], {"group_id": group_id})
    return {(row.topic, row.partition): _position(row) for row in rows}


def _position(row: Any) -> Position:  # noqa: ANN401 - a row of read_positions
    last = None
    if row.last_offset is not None:
        last = Record(
            offset=row.last_offset,
            leader_epoch=row.last_leader_epoch,
            timestamp_ms=row.last_timestamp_ms,
            digest=bytes(row.last_digest),
        )
    return Position(next_offset=row.next_offset, topic_id=row.topic_id, last=last)


def begin(connection: Connection, group_id: str, logs: Mapping[TopicPartition, Log]) -> dict[TopicPartition, Position]:
    """Return the positions of partitions, keeping one for those never seen; `require_servable` has yet to be asked.

    Raises:
        PositionImpossible: the group is unknown and these tables are another's.

    """
    places = sorted(logs)
    parameters = {
        "group_id": group_id,
        "topics": [topic for topic, _ in places],
        "partitions": [partition for _, partition in places],
        "offsets": [logs[place].low for place in places],
        "topic_ids": [logs[place].topic_id for place in places],
    }
    _require_known(connection, parameters)
    connection.exec_driver_sql(POSITIONS["create_positions"], parameters)
    connection.exec_driver_sql(POSITIONS["adopt_topics"], parameters)
    stored = read(connection, group_id)
    return {place: stored[place] for place in places}


def _require_known(connection: Connection, parameters: Mapping[str, Any]) -> None:
    """Refuse a group that never read anything, where another has: it would read everything again beside that one."""
    other = connection.exec_driver_sql(POSITIONS["other_group"], dict(parameters)).scalar()
    if other is not None:
        group, topic = parameters["group_id"], parameters["topics"][0]
        raise PositionImpossible(
            f"group {group} is unknown here: group {other} has read these topics into this schema; set "
            f"PROJECTOR_GROUP_ID={quote(other)} to go on where it is, or let the new group replay everything from the "
            f"start: `projector positions set {topic} all earliest`"
        )


def require_servable(place: TopicPartition, position: Position, log: Log) -> None:
    """Refuse a position that the broker cannot serve, saying which command recovers.

    Raises:
        PositionImpossible: naming the partition.

    """
    name, offset = f"{place[0]}/{place[1]}", position.next_offset
    again = f"`projector positions set {place[0]} {place[1]} earliest`"
    if position.topic_id is not None and position.topic_id != log.topic_id:
        raise PositionImpossible(created_again(name, f"since the position {offset} was stored"))
    if offset < log.low:
        raise PositionImpossible(
            f"{name}: the position is {offset}, but the broker's log starts at {log.low}: retention deleted "
            f"{log.low - offset} offsets before they were applied; publish them again from their source, then {again}"
        )
    if offset > log.high:
        raise PositionImpossible(
            f"{name}: the position is {offset}, but the broker's log ends at {log.high}: the broker lost messages or "
            f"is not the one it was; {again} replays what it has"
        )
    if (why := _break(position, log)) is not None:
        raise PositionImpossible(
            f"{name}: the position is {offset}, but {why}: the log was cut and has grown again, as after a restore "
            f"from an older copy; {again} replays what it has, and what it lost is to be published again"
        )


def created_again(name: str, when: str) -> str:
    """Say that the id of a topic, or of a partition's topic, is another one, and what recovers."""
    topic = name.partition("/")[0]
    return (
        f"{name}: the topic was deleted and created again {when}; `projector positions set {topic} all earliest` "
        "starts at its beginning"
    )


def deleted(topic: str) -> str:
    """Say that a topic that was being read is not there, and what recovers."""
    return (
        f"{topic}: the topic was deleted while it was read; `projector init` creates it, then "
        f"`projector positions set {topic} all earliest` starts at its beginning"
    )


def _break(position: Position, log: Log) -> str | None:
    """Say what contradicts that the log is the one that was read up to the position."""
    if log.found is None or position.last is None:
        return None
    if log.found.truncated is not None:
        return f"the broker says {log.found.truncated}"
    if position.last.offset < log.low or position.last == log.found.record:
        return None
    what = "no message" if log.found.record is None else "another message than the one that was applied"
    return f"at offset {position.last.offset} stands {what}"


def require_described(given: set[TopicPartition], logs: Mapping[TopicPartition, Log]) -> None:
    """Refuse partitions that the broker asked does not know yet: of several, one hears of new ones first.

    Raises:
        KafkaException: to be tried again.

    """
    if unknown := sorted(given - logs.keys()):
        topic, partition = unknown[0]
        reason = f"{topic}/{partition} was assigned, and the broker does not know it yet"
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, reason))


def describe(client: AdminClient, topics: Iterable[str]) -> dict[TopicPartition, Log]:
    """Ask the broker for every partition of these topics.

    Raises:
        TopicMissing: a topic does not exist.
        KafkaException: the broker does not answer.

    """
    found: dict[TopicPartition, str] = {}
    for name, (topic_id, partitions) in topics_of(client, topics).items():
        found.update({(name, partition): topic_id for partition in partitions})
    low, high = (_offsets(client, found, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
    return {place: Log(topic_id=uid, low=low[place], high=high[place]) for place, uid in found.items()}


def topics_of(client: AdminClient, topics: Iterable[str]) -> dict[str, tuple[str, list[int]]]:
    """Ask the broker for the id and the partitions of each topic: one request, and none to the partitions' leaders.

    Raises:
        TopicMissing: a topic does not exist.
        KafkaException: the broker does not answer.

    """
    found: dict[str, tuple[str, list[int]]] = {}
    for name, future in client.describe_topics(TopicCollection(list(topics)), request_timeout=PROBE_SECONDS).items():
        try:
            topic = future.result()
        except KafkaException as error:
            if error.args[0].name() == "UNKNOWN_TOPIC_OR_PART":
                raise TopicMissing(name) from None
            raise
        found[name] = str(topic.topic_id), [partition.id for partition in topic.partitions]
    return found


def _offsets(client: AdminClient, places: Iterable[TopicPartition], spec: OffsetSpec) -> dict[TopicPartition, int]:
    asked = client.list_offsets({KafkaPartition(*place): spec for place in places}, request_timeout=PROBE_SECONDS)
    return {(part.topic, part.partition): future.result().offset for part, future in asked.items()}
