"""A chunk of the log: suspect the rows that are not what its messages say, or find what wins of those suspected."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from psycopg import Cursor

from backfill.ledger import Chunk
from backfill.log import staging
from backfill.log.plan import BLOCK, Part, Plan
from backfill.log.source import Source
from backfill.log.staging import Row, statement
from backfill.runs import Run
from backfill.tally import LogTally, Tally
from events.types import Event, Message, Refusal

SQL: Final = staging.SQL
Letters = set[tuple[int, int]]
"""Offset and timestamp of messages that were refused, and not applied since: an offset alone may be another log's."""


def cut(_cursor: Cursor[Any], run: Run, size: int) -> int | None:
    """Find where the next chunk of the log ends."""
    return Plan.of(run.options).cut(run.cursor, size)


def cut_where_suspected(cursor: Cursor[Any], run: Run, size: int) -> int | None:
    """Do so where anything is suspected: a clean history needs no second look at the log."""
    if cursor.execute(SQL["any_suspect"], {"run_id": run.run_id}).fetchone() is None:
        return None
    return cut(cursor, run, size)


def compare(cursor: Cursor[Any], run: Run, chunk: Chunk, source: Source) -> Tally:
    """Compare a chunk's messages with the rows of their entities; keep which offsets are confirmed."""
    part = Plan.of(run.options).part(chunk.after, chunk.last)
    entity = part.range.entity
    confirmed: list[int] = []
    tally = LogTally()
    for share, rows in _rows(cursor, part, source):
        tally += share
        staging.stage(cursor, entity, rows)
        offsets, amended = cursor.execute(statement("compare", entity), {"run_id": run.run_id}).fetchone() or ([], 0)
        confirmed += offsets
        tally += LogTally(rows_amended=amended)
    for block, bits in _blocks(part, confirmed):
        where = {"run_id": run.run_id, "partition": part.range.partition, "block": block, "confirmed": bits}
        cursor.execute(statement("confirm", entity), where)
    return Tally(history_rows=tally.messages, log=tally)


def note_winners(cursor: Cursor[Any], run: Run, part: Part, source: Source) -> Tally:
    """Keep of each suspected row what the greatest of these messages says."""
    messages = 0
    for share, rows in _rows(cursor, part, source):
        messages += share.messages
        staging.stage(cursor, part.range.entity, rows)
        cursor.execute(statement("note_winners", part.range.entity), {"run_id": run.run_id})
    return Tally(history_rows=messages)


def _rows(cursor: Cursor[Any], part: Part, source: Source) -> Iterator[tuple[LogTally, list[Row]]]:
    """Read a part of the log as rows that history should have."""
    letters = _letters(cursor, part)
    for batch in source.batches(part):
        rows = list(_expected(batch, letters))
        dead = sum((message.offset, message.timestamp_ms) in letters for message, _ in batch)
        alive = sum(
            isinstance(outcome, Refusal) and (message.offset, message.timestamp_ms) not in letters
            for message, outcome in batch
        )
        yield LogTally(messages=len(batch), refused=dead, unreadable=alive), rows


def _expected(batch: Iterable[tuple[Message, Event | Refusal]], letters: Letters) -> Iterator[Row]:
    for message, outcome in batch:
        if isinstance(outcome, Event):
            yield staging.row(outcome, message, expected=(message.offset, message.timestamp_ms) not in letters)


def _letters(cursor: Cursor[Any], part: Part) -> Letters:
    where = {"topic": part.range.topic, "partition": part.range.partition, "start": part.start, "end": part.end}
    return set(cursor.execute(SQL["refused"], where).fetchall())


def _blocks(part: Part, confirmed: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Write which offsets are confirmed, block by block, as PostgreSQL reads bits."""
    bits = {block: bytearray(b"0" * BLOCK) for block in range(part.start // BLOCK, (part.end - 1) // BLOCK + 1)}
    for offset in confirmed:
        bits[offset // BLOCK][offset % BLOCK] = ord("1")
    for block, written in bits.items():
        yield block, written.decode()
