"""A chunk of the log: suspect rows that differ from its messages, or note the winning message of suspected rows."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from psycopg import Cursor

from backfill.runs.chunks import Chunk
from backfill.runs.store import Run
from backfill.runs.tally import LogTally, Tally
from backfill.verify_log import staging
from backfill.verify_log.plan import BLOCK, Part, Plan
from backfill.verify_log.source import Source
from backfill.verify_log.staging import Row, for_entity
from events.contract.types import Event, Message, Refusal
from projector.database.statements import statements
from projector.kafka_log.log_identity import digest_of

SQL: Final = statements("backfill.verify_log", "scan.sql")


class Letters:
    """The dead letters of a part of the log; an offset alone, even with its time, may belong to another log.

    Dead letters with a message's digest decide about the message. If there is none, those decide that were kept before
    digests were stored; if there is one with a digest, these have other bytes, or no second one would have been kept.
    """

    def __init__(self, rows: Iterable[tuple[int, int, bytes | None, bool]]) -> None:
        self._open = {(offset, timestamp_ms, digest): unapplied for offset, timestamp_ms, digest, unapplied in rows}
        self._places = {key[:2] for key in self._open}

    def __contains__(self, message: Message) -> bool:
        """Tell whether a message was refused, and not applied since."""
        place = message.offset, message.timestamp_ms
        if place not in self._places:
            return False
        return self._open.get((*place, digest_of(message)), self._open.get((*place, None), False))


def next_log_end(_cursor: Cursor[Any], run: Run, size: int) -> int | None:
    """Find the end of the next chunk of the log."""
    return Plan.of(run.options).next_end(run.cursor, size)


def next_suspected_log_end(cursor: Cursor[Any], run: Run, size: int) -> int | None:
    """Do the same if anything is suspected: a correct history needs no second pass over the log."""
    if cursor.execute(SQL["any_suspect"], {"run_id": run.run_id}).fetchone() is None:
        return None
    return next_log_end(cursor, run, size)


def compare(cursor: Cursor[Any], run: Run, chunk: Chunk, source: Source) -> Tally:
    """Compare a chunk's messages with the rows of their entities; store which offsets are confirmed."""
    part = Plan.of(run.options).part(chunk.after, chunk.last)
    entity = part.range.entity
    confirmed: list[int] = []
    tally = LogTally()
    for delta, rows in _rows(cursor, part, source):
        tally += delta
        staging.stage(cursor, entity, rows)
        compared = for_entity(SQL["compare"], entity, amended=SQL["amended"] if entity == "invoices" else "false")
        offsets, amended = cursor.execute(compared, {"run_id": run.run_id}).fetchone() or ([], 0)
        confirmed += offsets
        tally += LogTally(rows_amended=amended)
    for block, bits in _blocks(part, confirmed):
        where = {"run_id": run.run_id, "partition": part.range.partition, "block": block, "confirmed": bits}
        cursor.execute(for_entity(SQL["confirm"], entity), where)
    return Tally(history_rows=tally.messages, log=tally)


def note_winners(cursor: Cursor[Any], run: Run, part: Part, source: Source) -> Tally:
    """Store for each suspected row what the greatest of these messages says."""
    messages = 0
    for delta, rows in _rows(cursor, part, source):
        messages += delta.messages
        staging.stage(cursor, part.range.entity, rows)
        cursor.execute(for_entity(SQL["note_winners"], part.range.entity), {"run_id": run.run_id})
    return Tally(history_rows=messages)


def _rows(cursor: Cursor[Any], part: Part, source: Source) -> Iterator[tuple[LogTally, list[Row]]]:
    """Read a part of the log as rows that history should have."""
    letters = _letters(cursor, part)
    for batch in source.batches(part):
        rows = list(_expected(batch, letters))
        dead = sum(message in letters for message, _ in batch)
        alive = sum(isinstance(outcome, Refusal) and message not in letters for message, outcome in batch)
        yield LogTally(messages=len(batch), refused=dead, unreadable=alive), rows


def _expected(batch: Iterable[tuple[Message, Event | Refusal]], letters: Letters) -> Iterator[Row]:
    for message, outcome in batch:
        if isinstance(outcome, Event):
            yield staging.row(outcome, message, expected=message not in letters)


def _letters(cursor: Cursor[Any], part: Part) -> Letters:
    where = {
        "topic": part.range.topic,
        "partition": part.range.partition,
        "topic_id": part.range.topic_id,
        "start": part.start,
        "end": part.end,
    }
    return Letters(cursor.execute(SQL["refused"], where).fetchall())


def _blocks(part: Part, confirmed: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Write which offsets are confirmed, block by block, as PostgreSQL reads bits."""
    bits = {block: bytearray(b"0" * BLOCK) for block in range(part.start // BLOCK, (part.end - 1) // BLOCK + 1)}
    for offset in confirmed:
        bits[offset // BLOCK][offset % BLOCK] = ord("1")
    for block, written in bits.items():
        yield block, written.decode()
