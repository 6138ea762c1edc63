"""What one transaction applies: messages in, staged rows out. Pure: no I/O and no clock.

Within a batch each entity is first reduced to its winner, the greatest (version, event id): PostgreSQL sees every key
once. Event ids are compared as text here and as bytes there, which is one order, since UTF-8 keeps code point order.
Two events of one version and id, which no sound producer sends, are settled by their place: the sooner one stays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from events.contract.types import ENTITIES, KEY_OF, Entity, Event, Message, Refusal, TopicPartition
from projector.consume.rows import content_of, line
from projector.kafka_log.log_identity import Record, record_of

Positions = Mapping[TopicPartition, int]
"""The next offset to apply, by place."""


class Item(NamedTuple):
    """One message and what became of it: a row to stage, or a refusal."""

    message: Message
    entity: Entity
    key: int
    rank: tuple[int, str, int, int]
    """Version, event id, then partition and offset turned round: the greatest is the entity's state."""
    row: str
    refusal: Refusal | None


def make_item(message: Message, outcome: Event | Refusal) -> Item:
    """Turn an event into its row already here, while the writer is busy with the batch before."""
    if isinstance(outcome, Refusal):
        return Item(message, ENTITIES[0], 0, (0, "", 0, 0), "", outcome)
    entity, data = outcome.entity, outcome.data
    rank = (data["version"], outcome.id, -message.partition, -message.offset)
    return Item(message, entity, data[KEY_OF[entity]], rank, line(outcome, message), None)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Consecutive messages of each partition, and the positions they start from and end at.

    Args:
        items: the messages, in the order they were read.
        known: the positions that this consumer believes to be stored.
        ends: the positions behind the last message, or behind a transaction's marker that follows it.
        topic_ids: of the topics as they were when the partitions were given; None for one that was never stored.

    """

    items: Sequence[Item]
    start_offsets: Positions
    end_offsets: Positions
    topic_ids: Mapping[str, str | None] = field(default_factory=dict)

    def last_records(self) -> dict[TopicPartition, Record]:
        """Return what identifies the last message of each partition; none for one of which only markers were read."""
        left, found = set(self.end_offsets), dict[TopicPartition, Record]()
        for message, *_ in reversed(self.items):
            if (place := (message.topic, message.partition)) in left:
                found[place] = record_of(message)
                left.remove(place)
                if not left:
                    break
        return found

    def halves(self) -> tuple["Batch", "Batch"]:
        """Split in two that, applied one after the other, do the same."""
        middle = len(self.items) // 2
        between = end_offsets_of(self.items[:middle])
        rest = {place: end for place, end in self.end_offsets.items() if between.get(place) != end}
        start_offsets = {place: self.start_offsets[place] for place in between}
        start_offsets_of_rest = {place: between.get(place, self.start_offsets[place]) for place in rest}
        return (
            replace(self, items=self.items[:middle], start_offsets=start_offsets, end_offsets=between),
            replace(self, items=self.items[middle:], start_offsets=start_offsets_of_rest, end_offsets=rest),
        )

    def refused(self, refusal: Refusal) -> "Batch":
        """Make every item a refusal, its message kept."""
        return replace(self, items=[item._replace(refusal=refusal) for item in self.items])


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Rows by entity, as lines for COPY; refusals; conflicts met within the batch."""

    rows: Mapping[Entity, list[str]]
    refused: Sequence[tuple[Message, Refusal]]
    conflicts: int


def end_offsets_of(items: Iterable[Item]) -> dict[TopicPartition, int]:
    """Return the position behind the last item of each partition."""
    return {(item.message.topic, item.message.partition): item.message.offset + 1 for item in items}


def stage(items: Iterable[Item]) -> Staged:
    """Reduce items to one row an entity, and set the refusals apart."""
    winners: dict[Entity, dict[int, Item]] = {entity: {} for entity in ENTITIES}
    refused: list[tuple[Message, Refusal]] = []
    conflicts = 0
    for each in items:
        if each.refusal is not None:
            refused.append((each.message, each.refusal))
            continue
        held = winners[each.entity].setdefault(each.key, each)
        if held is each:
            continue
        if held.rank[0] == each.rank[0] and content_of(held.row) != content_of(each.row):
            conflicts += 1
        if each.rank > held.rank:
            winners[each.entity][each.key] = each
    rows = {entity: [winner.row for winner in winners[entity].values()] for entity in ENTITIES}
    return Staged(rows=rows, refused=refused, conflicts=conflicts)
