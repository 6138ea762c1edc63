"""Retry and discard: each open dead letter is resolved once.

A retry decodes the stored bytes again, and applies what is accepted now with the consumer's own merge. The dead letters
are locked first, and closed in the transaction that applies them, so each is applied once, however many retries run
concurrently. An event that is older than what was applied since changes nothing. No position is read or moved.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import psycopg
import stamina
from psycopg import Connection, Cursor

from events.contract.types import Event, Message, Refusal
from events.runtime.totals import Totals
from projector.consume import merge
from projector.consume.batch import Conflicts, Item, make_item, stage
from projector.consume.conflicts import NAMED_MAX, named, names
from projector.database.bisect import bisect, halve_keys
from projector.database.failures import describe_error
from projector.database.sqlstates import CONFLICTS
from projector.database.statements import statements
from projector.dead_letters.selection import Selection

SQL: Final = statements("projector.dead_letters", "resolve.sql")

Decode = Callable[[Message], Event | Refusal]
Letter = tuple[int, Message]
"""A dead letter's id, and its message."""


@dataclass(frozen=True, kw_only=True)
class Retried(Totals):
    """The result of a retry.

    Args:
        applied: messages that were applied.
        refused: messages that are still refused, by reason.
        conflicts: messages with the version of another event, and other content.
        first_conflicts: the names of the first of these.
        elsewhere: messages that another retry or discard had locked or resolved.

    """

    applied: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    first_conflicts: tuple[str, ...] = ()
    elsewhere: int = 0

    def __add__(self, other: "Retried") -> "Retried":
        """Add up, keeping the first names."""
        total = super().__add__(other)
        return replace(total, first_conflicts=total.first_conflicts[:NAMED_MAX])


def retry(connection: Connection[Any], selection: Selection, decode: Decode, by: str) -> Retried:
    """Apply what is accepted now, chunk by chunk, on a prepared connection; each chunk is one transaction.

    Raises:
        psycopg.Error: PostgreSQL refused for a reason other than a message's value; earlier chunks stay applied.

    """
    return sum((_retry_chunk(connection, ids, decode, by) for ids in selection.chunks(connection)), Retried())


def discard(connection: Connection[Any], selection: Selection, *, by: str, why: str) -> int:
    """Discard the open ones of a selection, chunk by chunk; return how many."""
    discarded = 0
    for ids in selection.chunks(connection):
        with connection.transaction(), connection.cursor() as cursor:
            discarded += cursor.execute(SQL["discard_open"], {"ids": ids, "by": by, "why": why}).rowcount
    return discarded


def _retry_chunk(connection: Connection[Any], chunk: Sequence[int], decode: Decode, by: str) -> Retried:
    """Apply a chunk; if PostgreSQL refuses a value, only the message with that value stays open."""

    def refuse(ids: Sequence[int], error: psycopg.Error) -> Retried:
        refusal = Refusal("refused-by-database", describe_error(error, detail=True))
        return _apply(connection, ids, lambda _: refusal, by)

    parts = bisect(chunk, lambda ids: _apply(connection, ids, decode, by), halve=halve_keys, refuse=refuse)
    return sum(parts, Retried())


@stamina.retry(on=CONFLICTS)
def _apply(connection: Connection[Any], ids: Sequence[int], decode: Decode, by: str) -> Retried:
    """Lock, decode, merge and close in one transaction."""
    with connection.transaction(), connection.cursor() as cursor:
        letters = [_letter(row) for row in cursor.execute(SQL["lock_open"], {"ids": list(ids)}).fetchall()]
        items = [make_item(message, decode(message)) for _, message in letters]
        accepted = [letter for (letter, _), item in zip(letters, items, strict=True) if item.refusal is None]
        found: Conflicts = {}
        if accepted:
            found = merge.apply_staged(cursor, stage(items))
            cursor.execute(SQL["close_applied"], {"ids": accepted, "by": by})
        refused = _keep_open(cursor, letters, items, by)
    return Retried(
        applied=len(accepted),
        refused=refused,
        conflicts=len(found),
        first_conflicts=names(named(items, found)),
        elsewhere=len(ids) - len(letters),
    )


def _keep_open(cursor: Cursor[Any], letters: Sequence[Letter], items: Sequence[Item], by: str) -> Counter[str]:
    pairs = zip(letters, items, strict=True)
    still = [(letter, item.refusal) for (letter, _), item in pairs if item.refusal is not None]
    if still:
        parameters = {
            "ids": [letter for letter, _ in still],
            "reasons": [refusal.reason for _, refusal in still],
            "details": [refusal.detail for _, refusal in still],
            "by": by,
        }
        cursor.execute(SQL["keep_open"], parameters)
    return Counter(refusal.reason for _, refusal in still)


def _letter(row: tuple[Any, ...]) -> Letter:
    letter, topic, partition, offset, timestamp_ms, key, value, headers = row
    return letter, Message(topic, partition, offset, timestamp_ms, key, value, headers_of(headers))


def headers_of(stored: Sequence[tuple[str, str | None]]) -> tuple[tuple[str, bytes | None], ...]:
    """Read headers as they are stored: pairs of a name and the value's bytes in hexadecimal, or null."""
    return tuple((name, None if value is None else bytes.fromhex(value)) for name, value in stored)
