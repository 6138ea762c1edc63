"""Events that have the version of another event, and other content: counted and named. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from events.contract.types import Entity, TopicPartition
from projector.consume.batch import Conflict, Conflicts, Item, Positions, Source

NAMED_MAX: Final = 5  # of a batch; a producer that gives every state version 1 makes a conflict of every change

Places = Sequence[tuple[int, int, int | None, int | None]]
"""Partition and offset of each event that conflicts, then those of the other one."""


class Named(NamedTuple):
    """A message whose event conflicts, and where another one of that version stands."""

    item: Item
    other: Source

    @property
    def place(self) -> TopicPartition:
        """The partition on which it is counted."""
        return self.item.message.topic, self.item.message.partition

    def __str__(self) -> str:
        """Name both, which are to be compared: `billing.invoices/0@17 and 0@5 (invoice 4, version 2)`."""
        item, (partition, offset) = self.item, self.other
        place = f"{item.message.topic}/{item.message.partition}@{item.message.offset}"
        other = "a row of no message" if offset is None else f"{partition}@{offset}"
        return f"{place} and {other} ({item.entity.removesuffix('s')} {item.key}, version {item.rank[0]})"


def read(entity: Entity, places: Places | None) -> Iterator[tuple[Conflict, Source]]:
    """Read the conflicts that a statement found, null if there are none."""
    for partition, offset, *other in places or ():
        yield Conflict(entity, partition, offset), (other[0], other[1])


def named(items: Iterable[Item], found: Conflicts) -> list[Named]:
    """Return the messages of conflicts."""
    if not found:
        return []
    keys = ((item, Conflict(item.entity, item.message.partition, item.message.offset)) for item in items)
    return [Named(item, found[key]) for item, key in keys if item.refusal is None and key in found]


def first_seen(conflicts: Iterable[Named], counted_to: Positions) -> list[Named]:
    """Leave out messages that are read again after a position was set back."""
    return [each for each in conflicts if each.item.message.offset >= counted_to[each.place]]


def names(conflicts: Sequence[Named]) -> tuple[str, ...]:
    """Name the first conflicts."""
    return tuple(map(str, conflicts[:NAMED_MAX]))


def listed(first: Sequence[str], count: int) -> str:
    """Write the first of so many conflicts in a line."""
    more = count - len(first)
    return "; ".join(first) + (f"; and {more:,} more" if more > 0 else "")
