"""Which messages to replay: JSON Lines of topic, partition and offset."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from events.contract.limits import BIGINT_MAX
from events.contract.types import TopicPartition
from events.runtime.errors import InputError
from projector.kafka_log.partitions import PartitionLog
from projector.kafka_log.position_check import Position

Offset = tuple[str, int, int]
"""Topic, partition and offset."""


def read(lines: Iterable[bytes], source_name: str) -> Iterator[Offset]:
    """Read places.

    Raises:
        InputError: naming a line that is not a place.

    """
    for number, line in enumerate(lines, 1):
        if text := line.strip():
            yield _parse(text, f"{source_name}:{number}")


def _parse(text: bytes, where: str) -> Offset:
    try:
        given: Any = json.loads(text)
    except ValueError:
        given = None
    match given:
        case {"topic": str(topic), "partition": int(partition), "offset": int(offset)}:
            if 0 <= partition <= BIGINT_MAX and 0 <= offset <= BIGINT_MAX:
                return topic, partition, offset
    raise InputError(f'{where}: not a place, as {{"topic": "billing.invoices", "partition": 0, "offset": 17}}')


def require_applied(
    places: Iterable[Offset], positions: Mapping[TopicPartition, Position], logs: Mapping[TopicPartition, PartitionLog]
) -> None:
    """Refuse a place unless this group has applied its message, and the broker still has it.

    Raises:
        InputError: naming the place.

    """
    for topic, partition, offset in places:
        name = f"{topic}/{partition}@{offset}"
        log, position = logs.get((topic, partition)), positions.get((topic, partition))
        if log is None or position is None:
            raise InputError(f"{name}: this group reads no such partition")
        if position.topic_id not in {None, log.topic_id}:
            raise InputError(f"{name}: the topic was created again since the position was stored")
        if offset >= position.next_offset:
            raise InputError(f"{name}: not applied yet; `projector run` applies it")
        if offset < log.low:
            raise InputError(f"{name}: the broker no longer has it; its log starts at {log.low}")
