"""What one transaction applies: messages in, staged rows out. Pure: no I/O and no clock.

A batch is first reduced to one event an entity, the one with the greatest (version, event id), so that PostgreSQL gets
each key once. Event ids are compared as text here and as bytes in PostgreSQL; both orders are the same, because UTF-8
keeps the order of code points. Of two events with the same version and id, which no correct producer sends, the one at
the lower offset wins.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from events.contract.types import ENTITIES, KEY_OF, Entity, Event, Message, Refusal, TopicPartition
from projector.consume.rows import content_of, line
from projector.kafka_log.log_identity import Record, record_of

Positions = Mapping[TopicPartition, int]
"""The next offset to apply, by partition."""


class Item(NamedTuple):
    """One message with its row to stage, or its refusal."""

    message: Message
    entity: Entity
    key: int
    rank: tuple[int, str, int, int]
    """Version, event id, then partition and offset negated: the greatest rank is the entity's state."""
    row: str
    refusal: Refusal | None


def make_item(message: Message, outcome: Event | Refusal) -> Item:
    """Write an event's row now, while the writer applies the batch before."""
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
        start_offsets: the positions that this consumer expects to be stored.
        end_offsets: the positions after the last message, or after a transaction marker that follows it.
        topic_ids: of the topics when their partitions were assigned; None for one that was never stored.

    """

    items: Sequence[Item]
    start_offsets: Positions
    end_offsets: Positions
    topic_ids: Mapping[str, str | None] = field(default_factory=dict)

    def last_records(self) -> dict[TopicPartition, Record]:
        """Return what identifies the last message of each partition; partitions with markers only are left out."""
        remaining, found = set(self.end_offsets), dict[TopicPartition, Record]()
        for message, *_ in reversed(self.items):
            if (place := (message.topic, message.partition)) in remaining:
                found[place] = record_of(message)
                remaining.remove(place)
                if not remaining:
                    break
        return found

    def halves(self) -> tuple["Batch", "Batch"]:
        """Split in two batches that have the same effect when applied one after the other."""
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


class Conflict(NamedTuple):
    """Where an event stands that has the version of another one, and other content."""

    entity: Entity
    partition: int
    offset: int


Source = tuple[int | None, int | None]
"""The partition and offset that a row came from; null where it was loaded otherwise."""
Conflicts = Mapping[Conflict, Source]
"""Each event that conflicts, and where another one stands that it conflicts with."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Rows by entity, as lines for COPY; refused messages; conflicts within the batch."""

    rows: Mapping[Entity, list[str]]
    refused: Sequence[tuple[Message, Refusal]]
    conflicts: Conflicts


def end_offsets_of(items: Iterable[Item]) -> dict[TopicPartition, int]:
    """Return the position after the last item of each partition."""
    return {(item.message.topic, item.message.partition): item.message.offset + 1 for item in items}


def stage(items: Iterable[Item]) -> Staged:
    """Reduce items to one row an entity, and separate the refused messages."""
    winners: dict[Entity, dict[int, Item]] = {entity: {} for entity in ENTITIES}
    refused: list[tuple[Message, Refusal]] = []
    conflicts: dict[Conflict, Source] = {}
    for each in items:
        if each.refusal is not None:
            refused.append((each.message, each.refusal))
            continue
        winner = winners[each.entity].setdefault(each.key, each)
        if winner is each:
            continue
        if winner.rank[0] == each.rank[0] and content_of(winner.row) != content_of(each.row):
            conflict = Conflict(each.entity, each.message.partition, each.message.offset)
            conflicts[conflict] = winner.message.partition, winner.message.offset
        if each.rank > winner.rank:
            winners[each.entity][each.key] = each
    rows = {entity: [winner.row for winner in winners[entity].values()] for entity in ENTITIES}
    return Staged(rows=rows, refused=refused, conflicts=conflicts)
