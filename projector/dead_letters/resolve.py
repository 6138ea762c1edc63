"""Retry and discard: what becomes of an open dead letter, once.

A retry decodes the stored bytes again and applies what is accepted now by the consumer's own merge. The dead letters
are locked first and closed in the transaction that applies them, so that each is applied once however many retries
run; the merge's version guard makes even an older state harmless. No position is read or moved.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import stamina
from psycopg import Connection, Cursor

from events.contract.types import Event, Message, Refusal
from projector.consume import merge
from projector.consume.batch import Item, make_item, stage
from projector.database.failures import describe_error
from projector.database.sqlstates import CONFLICTS
from projector.dead_letters.selection import STATEMENTS, Selection

Decode = Callable[[Message], Event | Refusal]
Letter = tuple[int, Message]
"""A dead letter's id, and the message as it was read."""


@dataclass(frozen=True, kw_only=True)
class Retried:
    """What became of a selection: messages applied, still refused by reason, and left to others."""

    applied: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    elsewhere: int = 0

    def __add__(self, other: "Retried") -> "Retried":
        """Sum two parts of a selection."""
        return Retried(
            applied=self.applied + other.applied,
            refused=self.refused + other.refused,
            conflicts=self.conflicts + other.conflicts,
            elsewhere=self.elsewhere + other.elsewhere,
        )


def retry(connection: Connection[Any], selection: Selection, decode: Decode, by: str) -> Retried:
    """Apply what is accepted now, chunk by chunk, on a prepared connection; each chunk is one transaction.

    Raises:
        psycopg.Error: PostgreSQL refused for a reason that lies in no message; earlier chunks stay applied.

    """
    return sum((_bisect(connection, ids, decode, by) for ids in selection.chunks(connection)), Retried())


def discard(connection: Connection[Any], selection: Selection, *, by: str, why: str) -> int:
    """Give up what is open of a selection, chunk by chunk; return how many."""
    discarded = 0
    for ids in selection.chunks(connection):
        with connection.transaction(), connection.cursor() as cursor:
            discarded += cursor.execute(STATEMENTS["discard_open"], {"ids": ids, "by": by, "why": why}).rowcount
    return discarded


def _bisect(connection: Connection[Any], ids: list[int], decode: Decode, by: str) -> Retried:
    """Apply a chunk; where PostgreSQL refuses its content, halve it until the message at fault stands alone."""
    try:
        return _apply(connection, ids, decode, by)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        refusal = Refusal("refused-by-database", describe_error(error, detail=True))
    if len(ids) == 1:
        return _apply(connection, ids, lambda _: refusal, by)
    middle = len(ids) // 2
    return _bisect(connection, ids[:middle], decode, by) + _bisect(connection, ids[middle:], decode, by)


@stamina.retry(on=CONFLICTS)
def _apply(connection: Connection[Any], ids: list[int], decode: Decode, by: str) -> Retried:
    """Take one transaction: lock, decode, merge, close."""
    with connection.transaction(), connection.cursor() as cursor:
        letters = [_letter(row) for row in cursor.execute(STATEMENTS["lock_open"], {"ids": ids}).fetchall()]
        items = [make_item(message, decode(message)) for _, message in letters]
        accepted = [letter for (letter, _), one in zip(letters, items, strict=True) if one.refusal is None]
        conflicts = 0
        if accepted:
            _, conflicts = merge.apply_staged(cursor, stage(items))
            cursor.execute(STATEMENTS["close_applied"], {"ids": accepted, "by": by})
        refused = _keep_open(cursor, letters, items, by)
    return Retried(applied=len(accepted), refused=refused, conflicts=conflicts, elsewhere=len(ids) - len(letters))


def _keep_open(cursor: Cursor[Any], letters: Sequence[Letter], items: Sequence[Item], by: str) -> Counter[str]:
    still = [(letter, one.refusal) for (letter, _), one in zip(letters, items, strict=True) if one.refusal is not None]
    if still:
        parameters = {
            "ids": [letter for letter, _ in still],
            "reasons": [refusal.reason for _, refusal in still],
            "details": [refusal.detail for _, refusal in still],
            "by": by,
        }
        cursor.execute(STATEMENTS["keep_open"], parameters)
    return Counter(refusal.reason for _, refusal in still)


def _letter(row: tuple[Any, ...]) -> Letter:
    letter, topic, partition, offset, timestamp_ms, key, value, headers = row
    return letter, Message(topic, partition, offset, timestamp_ms, key, value, headers_of(headers))


def headers_of(stored: Sequence[tuple[str, str | None]]) -> tuple[tuple[str, bytes | None], ...]:
    """Read headers as they are kept: pairs of a name and the value's bytes in hexadecimal, or null."""
    return tuple((name, None if value is None else bytes.fromhex(value)) for name, value in stored)
