"""Messages that a consumer has read and decoded, and not yet handed to the writer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from events.contract.types import Event, Message, Refusal, TopicPartition
from projector.consume.batch import Batch, Item, make_item

OVERHEAD_BYTES: Final = 800  # memory of an event beside its raw bytes: its row and about a dozen small objects


@dataclass
class Buffer:
    """Items in the order in which they were read; for each partition, where the next batch starts and would end."""

    start_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    end_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    bytes: int = 0
    topic_ids: dict[str, str | None] = field(default_factory=dict)

    def assign(
        self, positions: Mapping[TopicPartition, int], topic_ids: Mapping[str, str | None] | None = None
    ) -> None:
        """Add partitions at these positions, of topics with these ids; nothing of them has been read yet."""
        self.revoke(positions)
        self.start_offsets.update(positions)
        self.topic_ids.update(topic_ids or {})

    def revoke(self, places: Iterable[TopicPartition]) -> None:
        """Remove partitions and what was read of them; their next owner reads it again."""
        revoked = set(places)
        for place in revoked:
            self.start_offsets.pop(place, None)
            self.end_offsets.pop(place, None)
        self.items = [kept for kept in self.items if (kept.message.topic, kept.message.partition) not in revoked]
        self.bytes = sum(_weight(kept.message) for kept in self.items)

    def add(self, message: Message, outcome: Event | Refusal) -> None:
        """Add the next message of its partition; ignore one that was added before."""
        place = (message.topic, message.partition)
        expected = self.end_offsets.get(place, self.start_offsets.get(place))
        if expected is None or message.offset < expected:
            return
        self.items.append(make_item(message, outcome))
        self.end_offsets[place] = message.offset + 1
        self.bytes += _weight(message)

    def reach(self, place: TopicPartition, offset: int) -> None:
        """Record that everything before this offset was read; transaction markers take offsets that hold no message."""
        if offset > self.end_offsets.get(place, self.start_offsets.get(place, offset)):
            self.end_offsets[place] = offset

    def drop(self) -> None:
        """Discard what was read and not taken; it is read again from where the next batch starts."""
        self.items, self.end_offsets, self.bytes = [], {}, 0

    def has_work(self) -> bool:
        """Tell whether a batch would move a position."""
        return bool(self.end_offsets)

    def take(self) -> Batch:
        """Return everything as one batch; the next batch starts where it ends."""
        start_offsets = {place: self.start_offsets[place] for place in self.end_offsets}
        topic_ids = {topic: self.topic_ids.get(topic) for topic, _ in start_offsets}
        batch = Batch(items=self.items, start_offsets=start_offsets, end_offsets=self.end_offsets, topic_ids=topic_ids)
        self.start_offsets.update(self.end_offsets)
        self.items, self.end_offsets, self.bytes = [], {}, 0
        return batch


def _weight(message: Message) -> int:
    return OVERHEAD_BYTES + len(message.value or b"") + len(message.key or b"")
