"""Replay messages by the merge, over rows that claim to be newer than they are.

The merge lets a row give way to a greater (version, event id) only, which is what a replay is up against: a row that
was edited by hand has its old rank, or one that no event has. So such a row is lowered first, under its lock and in
the transaction that merges, to a rank below every event's. Its marks stay: the meter changes by *new minus marked*,
whatever was marked, and a row that is missing is inserted like a new one.

A row may also be *rightly* newer, by a message that came after the one to replay. It names its message's place. So
that message is read first: if it is this entity's and says this rank, it is replayed in place of the one that was
asked for, and history never steps back. Where the broker no longer has that place the row is left alone, and told;
where nobody can have read it yet, or something else stands there, the claim is false.

    1 look     without locks: what do the rows of these entities claim?
    2 read     the messages at the places that they name
    3 lock     the rows, in everyone's order (invoices, payments, assignments, customers, each by key), and look again:
               whatever has changed since is left for another round
    4 lower    what is still as it was
    5 merge    by `projector.consume.merge.apply_staged`, and commit

Steps 3 to 5 are one transaction: killed at any moment, a row is as it was or as its message says. No position is read
or moved, and no dead letter: one that is open is not replayed. The merge locks in the same order, but may need the row
of an invoice that is missing, or that a payment follows, after rows behind it are held: where that meets a consumer's
batch, PostgreSQL breaks the circle, and both try again as a whole.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import stamina
from psycopg import Connection, Cursor

from events.contract.types import ENTITIES, KEY_OF, Entity, Event, Message, Refusal, TopicPartition, topic_of
from projector.consume import merge
from projector.consume.batch import Item, make_item, stage
from projector.database.sqlstates import CONFLICTS
from projector.database.statements import statements
from projector.kafka_log.log_identity import digest_of
from projector.positions.store import Log
from projector.replay.places import Spot

SQL: Final = statements("projector.replay", "replay.sql")
ROUNDS_MAX: Final = 5  # a row that a consumer replaces between two looks is newer each time
MESSAGES_MAX: Final = 500  # in one transaction
BYTES_MAX: Final = 8 << 20  # of raw messages in one transaction

TABLES: Final[Mapping[Entity, str]] = {
    "invoices": "invoices",
    "payments": "payments",
    "assignments": "meter_assignments",
    "customers": "customers",
}
Decode = Callable[[Message], Event | Refusal]
Fetch = Callable[[Spot], Message | None]
"""Reads the message at a place; None where none stands there."""
Key = tuple[Entity, int]


class Claim(NamedTuple):
    """What a row says it is: version, event id, and the place it comes from."""

    version: int
    event_id: str
    partition: int | None
    offset: int | None

    @property
    def rank(self) -> tuple[int, bytes, int, int]:
        """Rank it as the merge does."""
        return self.version, self.event_id.encode(), -(self.partition or 0), -(self.offset or 0)


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What became of the messages that were asked for."""

    replayed: int = 0
    refused: int = 0
    left: tuple[str, ...] = ()

    def __add__(self, other: "Replayed") -> "Replayed":
        """Sum two parts."""
        return Replayed(
            replayed=self.replayed + other.replayed,
            refused=self.refused + other.refused,
            left=self.left + other.left,
        )


@dataclass(frozen=True, kw_only=True)
class Replayer:
    """One connection, prepared for the merge, and the log."""

    connection: Connection[Any]
    decode: Decode
    fetch: Fetch
    logs: Mapping[TopicPartition, Log]
    prefix: str

    def replay(self, spots: Iterable[Spot]) -> Replayed:
        """Replay messages, some hundred in a transaction.

        Raises:
            psycopg.Error: PostgreSQL refused; what was committed before stays.

        """
        total = Replayed()
        asked: dict[Key, Item] = {}
        size = 0
        for spot in sorted(set(spots)):
            one = self._item(spot)
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
        """Replay these, again where a row was changed meanwhile."""
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

    def _item(self, spot: Spot) -> Item | None:
        message = self.fetch(spot)
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
        """Choose what a row has to say: what was asked for, or what it rightly says; None where nobody can tell."""
        rank = (asked.rank[0], asked.rank[1].encode(), *asked.rank[2:])
        if claim is None or claim.rank <= rank:
            return asked
        if claim.partition is None or claim.offset is None:  # loaded: as this very state, or as a greater one
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
        """Return the position of now: a consumer may have applied more than it had when we began."""
        where = {"topic": place[0], "partition": place[1], "topic_id": self.logs[place].topic_id}
        row = self.connection.execute(SQL["position"], where).fetchone()
        return row[0] or 0 if row else 0

    @stamina.retry(on=CONFLICTS)
    def _apply(self, items: Mapping[Key, Item], claims: Mapping[Key, Claim]) -> set[Key]:
        """Take one transaction; return what had changed since it was looked at, and was left as it is."""
        changed: set[Key] = set()
        with self.connection.transaction(), self.connection.cursor() as cursor:
            for entity in ENTITIES:
                keys = sorted(key for of, key in items if of == entity)
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
