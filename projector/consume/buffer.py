"""What a consumer has read and decoded and not yet handed to the writer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from events.contract.types import Event, Message, Place, Refusal
from projector.consume.batch import Batch, Item, item

OVERHEAD_BYTES: Final = 800  # what an event weighs in memory beside its raw bytes: its row, and a dozen small objects


@dataclass
class Intake:
    """Items in the order they were read, and for each partition where the next batch starts and would end."""

    known: dict[Place, int] = field(default_factory=dict)
    ends: dict[Place, int] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    bytes: int = 0
    topic_ids: dict[str, str | None] = field(default_factory=dict)

    def assign(self, positions: Mapping[Place, int], topic_ids: Mapping[str, str | None] | None = None) -> None:
        """Begin to take in partitions at these positions, of topics with these ids, with nothing read of them."""
        self.revoke(positions)
        self.known.update(positions)
        self.topic_ids.update(topic_ids or {})

    def revoke(self, places: Iterable[Place]) -> None:
        """Forget partitions and what was read of them; whoever owns them next reads it again."""
        gone = set(places)
        for place in gone:
            self.known.pop(place, None)
            self.ends.pop(place, None)
        self.items = [kept for kept in self.items if (kept.message.topic, kept.message.partition) not in gone]
        self.bytes = sum(_weight(kept.message) for kept in self.items)

    def add(self, message: Message, outcome: Event | Refusal) -> None:
        """Take in the next message of its partition; one that was taken in before is left out."""
        place = (message.topic, message.partition)
        expected = self.ends.get(place, self.known.get(place))
        if expected is None or message.offset < expected:
            return
        self.items.append(item(message, outcome))
        self.ends[place] = message.offset + 1
        self.bytes += _weight(message)

    def reach(self, place: Place, offset: int) -> None:
        """Note that everything before this offset was read, though no message may stand there (transaction markers)."""
        if offset > self.ends.get(place, self.known.get(place, offset)):
            self.ends[place] = offset

    def drop(self) -> None:
        """Forget what was read and not handed out; it is read again from where the next batch starts."""
        self.items, self.ends, self.bytes = [], {}, 0

    def has_work(self) -> bool:
        """Say whether a batch would move a position."""
        return bool(self.ends)

    def take(self) -> Batch:
        """Hand out all of it as one batch; the next one starts where it ends."""
        known = {place: self.known[place] for place in self.ends}
        topic_ids = {topic: self.topic_ids.get(topic) for topic, _ in known}
        batch = Batch(items=self.items, known=known, ends=self.ends, topic_ids=topic_ids)
        self.known.update(self.ends)
        self.items, self.ends, self.bytes = [], {}, 0
        return batch


def _weight(message: Message) -> int:
    return OVERHEAD_BYTES + len(message.value or b"") + len(message.key or b"")
