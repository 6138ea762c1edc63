"""Dead letters as a consumer writes them, and as it counts them when it starts.

What an operator does with them is in `projector.dead_letters`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from psycopg import Connection, Cursor
from psycopg.types.json import Jsonb

from events.contract.types import Message, Refusal, TopicPartition
from projector.database.statements import statements
from projector.kafka_log.log_identity import digest_of
from projector.kafka_log.position_check import Position

SQL: Final = statements("projector.consume", "dead_letters.sql")


def keep(cursor: Cursor[Any], refused: Sequence[tuple[Message, Refusal]], topic_ids: Mapping[str, str | None]) -> None:
    """Store refused messages with their reasons, in the caller's transaction."""
    if refused:
        letters = [_row(message, refusal, topic_ids.get(message.topic)) for message, refusal in refused]
        cursor.executemany(SQL["keep_dead_letters"], letters)


def count_open_before(
    connection: Connection[Any], positions: Mapping[TopicPartition, Position], *, share_depth: int, run_depth: int
) -> list[tuple[str, int, int]]:
    """Count the dead letters that are open right before positions.

    Returns:
        For each reason, how many there are among the last `share_depth` offsets of each partition, and how many end
        their partition, with no accepted message after them.

    """
    places = sorted(positions)
    parameters = {
        "topics": [topic for topic, _ in places],
        "partitions": [partition for _, partition in places],
        "offsets": [positions[place].next_offset for place in places],
        "topic_ids": [positions[place].topic_id for place in places],
        "share_depth": share_depth,
        "run_depth": run_depth,
    }
    return connection.execute(SQL["count_open_before"], parameters).fetchall()


def _row(message: Message, refusal: Refusal, topic_id: str | None) -> dict[str, Any]:
    headers = [[name, None if value is None else value.hex()] for name, value in message.headers]
    return {
        **message._asdict(),
        "topic_id": topic_id,
        "digest": digest_of(message),
        "headers": Jsonb(headers),
        "reason": refusal.reason,
        "detail": refusal.detail,
    }
