"""Where a consumer starts: PostgreSQL's position, held against what the broker can still serve.

A partition that this group never saw starts at the broker's earliest message. A stored position that the broker cannot
serve is never reset: the consumer stops, and the error says what happened and which commands recover.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from sqlalchemy import Connection

from events.errors import StateError
from events.kafka import PROBE_SECONDS
from events.types import Place
from projector.errors import PositionImpossible
from projector.statements import statements

POSITIONS: Final = statements("projector", "sql/positions.sql")


@dataclass(frozen=True, kw_only=True)
class Log:
    """What the broker holds of one partition: offsets from `low` up to, not including, `high`."""

    topic_id: str
    low: int
    high: int


@dataclass(frozen=True, kw_only=True)
class Position:
    """What PostgreSQL says of one partition."""

    next_offset: int
    topic_id: str | None


def read(connection: Connection, group_id: str) -> dict[Place, Position]:
    """Read a group's positions."""
    rows = connection.exec_driver_sql(POSITIONS["read_positions"], {"group_id": group_id})
    return {(topic, part): Position(next_offset=offset, topic_id=uid) for topic, part, offset, uid in rows}


def start(connection: Connection, group_id: str, logs: Mapping[Place, Log]) -> dict[Place, int]:
    """Return where to start on each partition, keeping a position for those never seen.

    Raises:
        PositionImpossible: naming the partition, for a position that the broker cannot serve; or the group, where it
            is unknown and these tables are another's.

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
    stored = read(connection, group_id)
    for place in places:
        require_servable(place, stored[place], logs[place])
    return {place: stored[place].next_offset for place in places}


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


def require_servable(place: Place, position: Position, log: Log) -> None:
    """Refuse a position that the broker cannot serve, saying which command recovers.

    Raises:
        PositionImpossible: naming the partition.

    """
    name, offset = f"{place[0]}/{place[1]}", position.next_offset
    if position.topic_id is not None and position.topic_id != log.topic_id:
        raise PositionImpossible(
            f"{name}: the topic was deleted and created again since the position {offset} was stored; "
            f"`projector positions set {place[0]} all earliest` starts at its beginning"
        )
    if offset < log.low:
        raise PositionImpossible(
            f"{name}: the position is {offset}, but the broker's log starts at {log.low}: retention deleted "
            f"{log.low - offset} offsets before they were applied; publish them again from their source, then "
            f"`projector positions set {place[0]} {place[1]} earliest`"
        )
    if offset > log.high:
        raise PositionImpossible(
            f"{name}: the position is {offset}, but the broker's log ends at {log.high}: the broker lost messages or "
            f"is not the one it was; `projector positions set {place[0]} {place[1]} earliest` replays what it has"
        )


def require_described(given: set[Place], logs: Mapping[Place, Log]) -> None:
    """Refuse partitions that the broker asked does not know yet: of several, one hears of new ones first.

    Raises:
        KafkaException: to be tried again.

    """
    if unknown := sorted(given - logs.keys()):
        topic, partition = unknown[0]
        reason = f"{topic}/{partition} was assigned, and the broker does not know it yet"
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, reason))


def describe(client: AdminClient, topics: Iterable[str]) -> dict[Place, Log]:
    """Ask the broker for every partition of these topics.

    Raises:
        StateError: a topic does not exist.
        KafkaException: the broker does not answer.

    """
    found: dict[Place, str] = {}
    for name, future in client.describe_topics(TopicCollection(list(topics)), request_timeout=PROBE_SECONDS).items():
        try:
            topic = future.result()
        except KafkaException as error:
            if error.args[0].name() == "UNKNOWN_TOPIC_OR_PART":
                raise StateError(f"topic {name} does not exist: run `projector init`") from None
            raise
        found.update({(name, partition.id): str(topic.topic_id) for partition in topic.partitions})
    low, high = (_offsets(client, found, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
    return {place: Log(topic_id=uid, low=low[place], high=high[place]) for place, uid in found.items()}


def _offsets(client: AdminClient, places: Iterable[Place], spec: OffsetSpec) -> dict[Place, int]:
    asked = client.list_offsets({TopicPartition(*place): spec for place in places}, request_timeout=PROBE_SECONDS)
    return {(part.topic, part.partition): future.result().offset for part, future in asked.items()}
