"""Where the messages to replay are: JSON Lines of topic, partition and offset."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from events.contract.types import BIGINT_MAX, TopicPartition
from events.runtime.errors import InputError
from projector.positions.store import Log, Position

Spot = tuple[str, int, int]
"""Topic, partition and offset."""


def read(lines: Iterable[bytes], source_name: str) -> Iterator[Spot]:
    """Read places.

    Raises:
        InputError: naming the line that is none.

    """
    for number, line in enumerate(lines, 1):
        if text := line.strip():
            yield _spot(text, f"{source_name}:{number}")


def _spot(text: bytes, where: str) -> Spot:
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
    spots: Iterable[Spot], positions: Mapping[TopicPartition, Position], logs: Mapping[TopicPartition, Log]
) -> None:
    """Refuse what is not a message that this group has applied, and that the broker still has.

    Raises:
        InputError: naming the place.

    """
    for topic, partition, offset in spots:
        place, name = (topic, partition), f"{topic}/{partition}@{offset}"
        log, position = logs.get(place), positions.get(place)
        if log is None or position is None:
            raise InputError(f"{name}: this group reads no such partition")
        if position.topic_id not in {None, log.topic_id}:
            raise InputError(f"{name}: the topic was created again since the position was stored")
        if offset >= position.next_offset:
            raise InputError(f"{name}: not applied yet; `projector run` applies it")
        if offset < log.low:
            raise InputError(f"{name}: the broker no longer has it; its log starts at {log.low}")
