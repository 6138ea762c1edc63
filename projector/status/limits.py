"""Whether a group is further behind than somebody allows: by messages, or by the time that one has waited. Pure.

A message waits too long if it is older than the limit and its partition's position has not moved within the limit. So
old messages that are read for the first time count only where nothing moves, and an idle partition never counts.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from events.contract.types import TopicPartition
from events.runtime.wording import agree, counted
from projector.kafka_log.partitions import PartitionLog
from projector.status.kafka_view import KafkaView
from projector.status.status import Status

Logs = Mapping[TopicPartition, PartitionLog]


class Limits(NamedTuple):
    """What is allowed: messages that are not applied, and the time that one of them may wait; None is no limit."""

    lag: int | None = None
    age: timedelta | None = None


def exceeded(status: Status, view: KafkaView, limits: Limits) -> list[str]:
    """Write each limit that is exceeded, as far as Kafka said what is needed to know."""
    found = []
    if limits.lag is not None and status.lag is not None and status.lag > limits.lag:
        found.append(f"{_waits(status.lag)}, and {limits.lag:,} may")
    if limits.age is not None and view.logs is not None and view.young_from is not None:
        found += _waiting(status, view.logs, view.young_from, limits.age)
    return found


def _waiting(status: Status, logs: Logs, young_from: Mapping[TopicPartition, int], age: timedelta) -> Iterator[str]:
    positions: dict[TopicPartition, dict[str, Any]] = {(p["topic"], p["partition"]): p for p in status.positions}
    for place, log in sorted(logs.items()):
        position = positions.get(place)
        start = log.low if position is None else position["next_offset"]
        old_before = young_from.get(place, log.high)
        moved_late = position is None or status.asked_at - position["updated_at"] > age
        if start < old_before and moved_late:
            yield f"{place[0]}/{place[1]}: {_waits(log.high - start)}, the first for more than {age}"


def _waits(messages: int) -> str:
    return f"{counted(messages, 'message')} {agree(messages, 'waits', 'wait')}"
