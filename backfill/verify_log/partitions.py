"""The opposite direction: rows whose named place is covered by the log, but confirmed by no message."""

from collections.abc import Callable
from typing import Any, Final

from psycopg import Cursor

from backfill.runs.chunks import Chunk, ChunkEnd
from backfill.runs.store import Run
from backfill.runs.tally import LogTally, Tally
from backfill.verify_log.plan import BLOCK, Plan
from backfill.verify_log.staging import for_entity
from events.contract.types import ENTITIES, Entity, topic_of
from projector.database.statements import statements

SQL: Final = statements("backfill.verify_log", "partitions.sql")
STANDINGS: Final = {
    "confirmed": "rows_confirmed", "newer": "rows_newer", "expired": "rows_expired", "loaded": "rows_loaded"
}  # fmt: skip


def next_rows_end(entity: Entity) -> ChunkEnd:
    """Find the end of the next page of an entity's table."""

    def next_end(cursor: Cursor[Any], run: Run, size: int) -> int | None:
        where = {"after": run.cursor, "size": size}
        (last,) = cursor.execute(for_entity(SQL["next_rows"], entity), where).fetchone() or (None,)
        return last

    return next_end


def place_rows(entity: Entity, prefix: str) -> Callable[[Cursor[Any], Run, Chunk], Tally]:
    """Suspect the rows of a page that nothing confirmed; count the others by what the log can say about them."""

    def place(cursor: Cursor[Any], run: Run, chunk: Chunk) -> Tally:
        where = {"topic": topic_of(entity, prefix), "block_size": BLOCK, "after": chunk.after, "last": chunk.last}
        rows = cursor.execute(for_entity(SQL["place_rows"], entity), {**_ranges(run, entity), **where})
        counts = dict(rows.fetchall())
        total = sum(counts.values())
        known = {name: counts.get(standing, 0) for standing, name in STANDINGS.items()}
        return Tally(history_rows=total, log=LogTally(rows=total, **known))

    return place


def next_table_end(_cursor: Cursor[Any], run: Run, _size: int) -> int | None:
    """Take one table after the other."""
    table = max(0, run.cursor)
    return table + 1 if table < len(ENTITIES) else None


def suspect_sharers(cursor: Cursor[Any], run: Run, chunk: Chunk) -> Tally:
    """Suspect the rows of a table that name the same message as another row."""
    entity = ENTITIES[chunk.last - 1]
    cursor.execute(for_entity(SQL["suspect_sharers"], entity), _ranges(run, entity))
    return Tally()


def _ranges(run: Run, entity: Entity) -> dict[str, Any]:
    ranges = Plan.of(run.options).of_entity(entity)
    return {
        "run_id": run.run_id,
        "topic_id": next((each.topic_id for each in ranges), None),
        "partitions": [each.partition for each in ranges],
        "lows": [each.low for each in ranges],
        "ends": [each.end for each in ranges],
        "highs": [each.high for each in ranges],
    }
