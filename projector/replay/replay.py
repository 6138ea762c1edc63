"""Replay messages by the merge, over rows whose version claims to be newer than the messages.

The merge replaces a row only by a greater (version, event id). A row that was edited by hand keeps its rank, or has one
that no event has, so the merge would ignore the message. Therefore such a row's rank is first set below that of any
event, under its lock and in the transaction that merges. What the projection counts for the row stays recorded in it,
so the meter changes by the new contribution minus the one that was counted, whatever that was. A missing row is
inserted like a new one.

A row may also be newer *rightly*, because of a message after the one to replay. The row names that message's place, so
it is read first. If it belongs to this entity and has this rank, it is replayed instead of the requested message, and
history never goes back. If the broker no longer has that offset, the row is left unchanged and reported. If nobody can
have read that offset yet, or it holds another message, the row's claim is false.

    1 look     without locks: read which version and place the rows of these entities claim
    2 read     the messages at those places
    3 lock     the rows, in the lock order of every writer (invoices, payments, the clock, assignments, customers, rows
               by key), and read them again: a row that has changed is left for another round
    4 lower    the rank of the rows that are unchanged
    5 merge    by `projector.consume.merge.apply_staged`, and commit

Steps 3 to 5 are one transaction: if it is killed at any moment, a row is as it was or as its message says. No position
is read or moved, and no dead letter: an open one is not replayed. The merge takes locks in the same order, but may need
the row of a missing invoice, or of one that a payment follows, after rows behind it in the order are locked. If that
meets a consumer's batch, PostgreSQL ends the deadlock, and both transactions are repeated.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import stamina
from psycopg import Connection, Cursor

from events.contract.types import ENTITIES, KEY_OF, Entity, Event, Message, Refusal, TopicPartition, topic_of
from events.runtime.totals import Totals
from projector.consume import merge
from projector.consume.batch import Item, make_item, stage
from projector.database.sqlstates import CONFLICTS
from projector.database.statements import statements
from projector.kafka_log.log_identity import digest_of
from projector.kafka_log.partitions import PartitionLog
from projector.replay.places import Offset

SQL: Final = statements("projector.replay", "replay.sql")
ROUNDS_MAX: Final = 5  # a consumer may replace a row between steps 1 and 3, each time by a newer event
MESSAGES_MAX: Final = 500  # in one transaction
BYTES_MAX: Final = 8 << 20  # of raw messages in one transaction

TABLES: Final[Mapping[Entity, str]] = {
    "invoices": "invoices",
    "payments": "payments",
    "assignments": "meter_assignments",
    "customers": "customers",
}
Decode = Callable[[Message], Event | Refusal]
Fetch = Callable[[Offset], Message | None]
"""Reads the message at a place; None if there is none."""
Key = tuple[Entity, int]


class Claim(NamedTuple):
    """What a row claims: its version, event id, and the place of its message."""

    version: int
    event_id: str
    partition: int | None
    offset: int | None

    @property
    def rank(self) -> tuple[int, bytes, int, int]:
        """The rank, ordered as in the merge."""
        return self.version, self.event_id.encode(), -(self.partition or 0), -(self.offset or 0)


@dataclass(frozen=True, kw_only=True)
class Replayed(Totals):
    """The result: entities replayed, messages refused, and entities left unchanged, by name."""

    replayed: int = 0
    refused: int = 0
    left: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Replayer:
    """A connection that is prepared for the merge, and the log."""

    connection: Connection[Any]
    decode: Decode
    fetch: Fetch
    logs: Mapping[TopicPartition, PartitionLog]
    prefix: str

    def replay(self, places: Iterable[Offset]) -> Replayed:
        """Replay messages, at most `MESSAGES_MAX` in a transaction.

        Raises:
            psycopg.Error: PostgreSQL refused; what was committed before stays.

        """
        total = Replayed()
        asked: dict[Key, Item] = {}
        size = 0
        for place in sorted(set(places)):
            one = self._item(place)
            if one is None or one.refusal is not None:
                total += Replayed(refused=1)
                continue
            key = one.entity, one.key
            asked[key] = max(asked.get(key, one), one, key=_rank)
            size += len(one.message.value or b"")
            if len(asked) >= MESSAGES_MAX or size >= BYTES_MAX:
                total += self._rounds(asked)
                asked, size = {}, 0
        return total + self._rounds(asked)

    def _rounds(self, asked: dict[Key, Item]) -> Replayed:
        """Replay these; repeat for rows that have changed meanwhile."""
        wanted = len(asked)
        left: list[str] = []
        for _ in range(ROUNDS_MAX):
            if not asked:
                break
            claims = {key: claim for entity in ENTITIES for key, claim in _look(self.connection, entity, asked)}
            items = {key: self._rightful(one, claims.get(key)) for key, one in asked.items()}
            left += [f"{key[0]} {key[1]}" for key, one in items.items() if one is None]
            known = {key: one for key, one in items.items() if one is not None}
            changed = self._apply(known, claims) if known else set()
            asked = {key: one for key, one in asked.items() if key in changed}
        left += [f"{entity} {key}" for entity, key in asked]
        return Replayed(replayed=wanted - len(left), left=tuple(left))

    def _item(self, place: Offset) -> Item | None:
        message = self.fetch(place)
        if message is None:
            return None
        return None if self._is_refused(message) else make_item(message, self.decode(message))

    def _is_refused(self, message: Message) -> bool:
        where = {
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
            "timestamp_ms": message.timestamp_ms,
            "topic_id": self.logs[message.topic, message.partition].topic_id,
            "digest": digest_of(message),
        }
        (refused,) = self.connection.execute(SQL["is_refused"], where).fetchone() or (False,)
        return bool(refused)

    def _rightful(self, asked: Item, claim: Claim | None) -> Item | None:
        """Choose the event to replay: the requested one, or the newer one that the row rightly has; None if unknown."""
        rank = (asked.rank[0], asked.rank[1].encode(), *asked.rank[2:])
        if claim is None or claim.rank <= rank:
            return asked
        if claim.partition is None or claim.offset is None:  # loaded by hand
            return asked if (claim.version, claim.event_id) == asked.rank[:2] else None
        place = topic_of(asked.entity, self.prefix), claim.partition
        log = self.logs.get(place)
        if log is None or claim.offset < 0:
            return asked
        if claim.offset < log.low:
            return None
        newer = self._item((*place, claim.offset)) if claim.offset < self._end(place) else None
        if newer is None or newer.refusal is not None or (newer.entity, newer.key) != (asked.entity, asked.key):
            return asked
        return max(asked, newer, key=_rank)

    def _end(self, place: TopicPartition) -> int:
        """Return the current position: a consumer may have applied more since this command started."""
        where = {"topic": place[0], "partition": place[1], "topic_id": self.logs[place].topic_id}
        row = self.connection.execute(SQL["position"], where).fetchone()
        return row[0] or 0 if row else 0

    @stamina.retry(on=CONFLICTS)
    def _apply(self, items: Mapping[Key, Item], claims: Mapping[Key, Claim]) -> set[Key]:
        """Do steps 3 to 5 in one transaction; return the rows that had changed and were left unchanged."""
        changed: set[Key] = set()
        with self.connection.transaction(), self.connection.cursor() as cursor:
            for entity in ENTITIES:
                keys = sorted(key for of, key in items if of == entity)
                if keys and entity == "assignments":
                    cursor.execute(SQL["lock_clock"])
                if keys:
                    now = _lock(cursor, entity, keys)
                    gone = {(entity, key) for key in keys if now.get(key) != claims.get((entity, key))}
                    changed |= gone
                    ready = [key for key in keys if (entity, key) not in gone]
                    cursor.execute(_statement("lower", entity), {"ids": ready})
            merge.apply_staged(cursor, stage([one for key, one in items.items() if key not in changed]))
        return changed


def _rank(one: Item) -> tuple[int, str, int, int]:
    return one.rank


def _look(connection: Connection[Any], entity: Entity, keys: Iterable[Key]) -> Iterable[tuple[Key, Claim]]:
    ids = sorted(key for of, key in keys if of == entity)
    rows = connection.execute(_statement("look", entity), {"ids": ids}).fetchall() if ids else []
    return [((entity, key), Claim(*claim)) for key, *claim in rows]


def _lock(cursor: Cursor[Any], entity: Entity, keys: Sequence[int]) -> dict[int, Claim]:
    rows = cursor.execute(_statement("lock", entity), {"ids": list(keys)})
    return {key: Claim(*claim) for key, *claim in rows}


def _statement(name: str, entity: Entity) -> str:
    return SQL[name].format(table=TABLES[entity], key=KEY_OF[entity])
