"""Chunks of keys that nobody has, and what a test does with them instead of comparing."""

from collections.abc import Callable, Sequence
from typing import Any

from psycopg import Connection, Cursor

from backfill.execution.worker import ChunkStage
from backfill.runs import chunks
from backfill.runs.chunks import Chunk, State
from backfill.runs.store import Run
from backfill.runs.tally import Tally

Do = Callable[[Cursor[Any], Run, Sequence[int]], Tally]


def one_pass(do: Do, takes: State = "open", leaves: State = "done") -> ChunkStage:
    """Do this with a chunk's keys, which are all numbers from 1 that lie in it."""
    return ChunkStage(takes, leaves, Connection.transaction, lambda _cursor, _run, chunk: keys(chunk), do)


def counted(_cursor: Cursor[Any], _run: Run, keys: Sequence[int]) -> Tally:
    """Count the keys as customers."""
    return Tally(customers=len(keys))


def keys(chunk: Chunk) -> list[int]:
    """List the keys of a chunk."""
    return list(range(max(1, chunk.after + 1), chunk.last + 1))


def claimed(cursor: Cursor[Any], run: Run) -> Chunk:
    """Claim an open chunk; there has to be one."""
    chunk = chunks.claim(cursor, run, "open")
    assert chunk
    return chunk


def rows(connection: Connection[Any]) -> list[tuple[str, int, int, str, int]]:
    """Read the ledger: the phase, after which key, up to which, the state, and how many customers are counted."""
    return connection.execute(
        "SELECT phase, after_key, last_key, state, coalesce((tally ->> 'customers')::bigint, 0) FROM backfill_chunks"
        " ORDER BY phase, after_key"
    ).fetchall()
