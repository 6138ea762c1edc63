"""Move stored positions by hand: planned against what was read, carried out only if that still holds.

The group has to be without members. Should one join meanwhile, no harm is done: the position is compared and set here
as in every batch, so either this finds it moved and changes nothing, or the consumer's next batch does and is dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from sqlalchemy import Connection

from events.contract.types import TopicPartition
from events.runtime.errors import InputError, StateError
from events.runtime.kafka import PROBE_SECONDS
from projector.positions.store import POSITIONS, Log, Position
from projector.positions.view import start_of

Target = int | Literal["earliest", "latest"]
"""An offset, or an end of the log as it is now."""

UNKNOWN_GROUP: Final = KafkaError.GROUP_ID_NOT_FOUND


@dataclass(frozen=True, kw_only=True)
class Move:
    """One position, from where to where (offsets), and what follows.

    Args:
        skipped: offsets on the log that are never read by this.
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
    logs: Mapping[TopicPartition, Log],
    topic: str,
    partition: int | None,
    target: Target,
) -> list[Move]:
    """Work out the moves of one partition, or of all of a topic's.

    Raises:
        InputError: the topic is none of ours, or the partition or the offset is not on the broker.

    """
    topics = sorted({name for name, _ in logs})
    if topic not in topics:
        raise InputError(f"{topic} is none of the projector's topics: {', '.join(topics)}")
    places = sorted(place for place in logs if place[0] == topic and partition in {None, place[1]})
    if not places:
        raise InputError(f"{topic} has no partition {partition}, only 0 to {sum(t == topic for t, _ in logs) - 1}")
    return [_move(place, stored.get(place), logs[place], target) for place in places]


def _move(place: TopicPartition, position: Position | None, log: Log, target: Target) -> Move:
    after = {"earliest": log.low, "latest": log.high}[target] if isinstance(target, str) else target
    if not log.low <= after <= log.high:
        raise InputError(
            f"{place[0]}/{place[1]} has no offset {after}: the broker's log goes from {log.low} to {log.high}"
        )
    start = start_of(position, log, place)
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


def carry_out(connection: Connection, group_id: str, moves: Sequence[Move]) -> None:
    """Set the positions in the caller's transaction, each only from the value it was planned from.

    Raises:
        StateError: one of them is no longer where it was.

    """
    known = [move for move in moves if move.before is not None]
    unseen = [move for move in moves if move.before is None]
    changed = _execute(connection, "set_positions", group_id, known, known=[move.before for move in known])
    created = _execute(connection, "create_positions", group_id, unseen)
    if changed + created != len(moves):
        raise StateError(
            "a position has moved since it was read: nothing was changed; stop the consumer that moved it, then "
            "look again with `projector positions show`"
        )


def _execute(connection: Connection, name: str, group_id: str, moves: Sequence[Move], **more: object) -> int:
    parameters = {
        "group_id": group_id,
        "topics": [move.topic for move in moves],
        "partitions": [move.partition for move in moves],
        "offsets": [move.after for move in moves],
        "topic_ids": [move.topic_id for move in moves],
        **more,
    }
    return connection.exec_driver_sql(POSITIONS[name], parameters).rowcount


def require_idle(client: AdminClient, group_id: str) -> None:
    """Refuse to go on while a consumer of the group runs.

    Raises:
        StateError: saying how many members the broker counts.
        KafkaException: the broker does not answer.

    """
    try:
        found = client.describe_consumer_groups([group_id], request_timeout=PROBE_SECONDS)[group_id].result()
    except KafkaException as error:
        if error.args[0].code() == UNKNOWN_GROUP:
            return
        raise
    if found.members:
        raise StateError(
            f"group {group_id} is {found.state.name.lower()} with {len(found.members)} members: nothing was changed; "
            "stop every `projector run` first (one that was killed is forgotten after its session timeout)"
        )
