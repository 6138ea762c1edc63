"""The table of chunks: it lets workers on several machines share a run, and survive the death of any of them.

A chunk is a range of keys behind those for which chunks were made before. The transaction that processes a chunk locks
its row with `FOR UPDATE SKIP LOCKED`. So no two workers process the same chunk, and a chunk whose worker was killed is
free again as soon as PostgreSQL notices. The findings of a chunk, its counts and its new state commit together: a chunk
is processed once or not at all, so a run that is killed at any moment lacks nothing and counts nothing twice.

    open        made, or free again because its worker died
    compared    something was found that can be repaired at once
    repaired    a repair has committed; the chunk is to be compared once more
    done        its counts are to be collected into the run's tally, which deletes the row

`ensure_chunk` is a short transaction of its own that locks the run's row. It collects what is done and makes a chunk if
none is free; once no chunk of the phase is left it moves the run to the next phase, and at the end of a round to the
next round, if there has to be one. A chunk belongs to one round: a worker that slept through the end of its round finds
none of it. Locks are taken in this order: the run's row, a chunk's row, then the locks of a check or a repair. A worker
that holds a chunk's row never asks for the run's row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from psycopg import Connection, Cursor
from psycopg.errors import LockNotAvailable

from backfill.runs import rounds
from backfill.runs import store as runs
from backfill.runs.phases import Phase
from backfill.runs.session import snapshot
from backfill.runs.store import Run
from backfill.runs.tally import JSON, Tally
from events.contract.limits import BIGINT_MAX
from projector.database.statements import statements

SQL: Final = statements("backfill.runs", "chunks.sql")
WAIT_MS: Final = 250  # for another worker's chunk, before checking for a stop

State = Literal["open", "compared", "repaired", "done"]
ChunkEnd = Callable[[Cursor[Any], Run, int], int | None]
"""Finds the last key of the next chunk, for so many keys; None where nothing is left."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """The keys after `after` up to and including `last` of one phase, the chunk's state, and its counts so far."""

    phase: Phase
    state: State
    after: int
    last: int
    tally: Tally


def ensure_chunk(connection: Connection[Any], run: Run, size: int, chunk_ends: Mapping[Phase, ChunkEnd]) -> Run:
    """Collect what is done and make sure that a chunk can be claimed, if any is left; return the run as it is then.

    `size` is how many keys a new chunk has. No chunk is made once the run is no longer running.
    """
    with connection.transaction(), connection.cursor() as cursor:
        run = runs.lock(cursor, run)
        if run.state != "running":
            return run
        run = _counted(cursor, "collect_done", run)
        while run.phase != "done" and not _any(cursor, "any_free", run):
            last = chunk_ends[run.phase](cursor, run, size) if run.cursor < BIGINT_MAX else None
            if last is not None:
                cursor.execute(SQL["create_chunk"], {**_of(run), "after": run.cursor, "last": last, "state": "open"})
            elif _any(cursor, "any_left", run):
                break
            run = _next(cursor, run) if last is None else replace(run, cursor=last)
        return runs.advance(cursor, run)


def _next(cursor: Cursor[Any], run: Run) -> Run:
    """Move to the next phase, or from the last one to the next round; that decision needs all counts collected."""
    following = run.next_phase()
    if following.phase != "done":
        return following
    run = _counted(cursor, "collect_done", run)
    if rounds.needed(cursor, run):
        return rounds.begin_next(cursor, run)
    return replace(following, tally=rounds.ended(cursor, run))


def collect_finished(connection: Connection[Any], run: Run) -> Run:
    """Collect what is done when a worker leaves or a run is cancelled, whatever state the run is in.

    Of a cancelled run, what is not repaired stays so, and is counted.
    """
    with connection.transaction(), connection.cursor() as cursor:
        seconds = runs.find(connection, str(run.run_id)).tally.seconds
        run = runs.lock(cursor, run)
        run = _counted(cursor, "collect_compared" if run.state == "cancelled" else "collect_done", run)
        run = replace(run, tally=replace(run.tally, seconds=seconds))
        if run.state == "cancelled" and run.repairs:
            run = replace(run, tally=rounds.left_unrepaired(cursor, run))
        cursor.execute(SQL["store_tally"], {"run_id": run.run_id, "tally": JSON.dump_json(run.tally).decode()})
        return run


def read_with_progress(connection: Connection[Any], run_id: str) -> Run:
    """Read a run with the counts of the chunks that it has compared, in one snapshot and without changing anything.

    Raises:
        InputError: there is no such run.

    """
    with snapshot(connection), connection.cursor() as cursor:
        return _counted(cursor, "read_compared", runs.find(connection, run_id))


def claim(cursor: Cursor[Any], run: Run, state: State) -> Chunk | None:
    """Lock a free chunk of the run's phase in this state up to the end of the transaction; None where there is none."""
    row = cursor.execute(SQL["claim_chunk"], {**_of(run), "state": state}).fetchone()
    if row is None:
        return None
    after, last, tally = row
    return Chunk(phase=run.phase, state=state, after=after, last=last, tally=JSON.validate_python(tally))


def finish_chunk(cursor: Cursor[Any], run: Run, chunk: Chunk, state: State, delta: Tally) -> None:
    """Store the new state of a locked chunk, and add what its transaction counted."""
    tally = JSON.dump_json(chunk.tally + delta).decode()
    cursor.execute(SQL["finish_chunk"], {**_of(run), "after": chunk.after, "state": state, "tally": tally})


def split(cursor: Cursor[Any], run: Run, chunk: Chunk, middle: int) -> None:
    """Split a locked chunk: its keys up to and including `middle`, which keep its counts, and those behind."""
    cursor.execute(SQL["shorten_chunk"], {**_of(run), "after": chunk.after, "middle": middle})
    rest = {"after": middle, "last": chunk.last, "state": chunk.state}
    cursor.execute(SQL["create_chunk"], {**_of(run), **rest})


def wait(connection: Connection[Any], run: Run) -> None:
    """Wait a moment for a chunk that another worker processes."""
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {WAIT_MS}")
            connection.execute(SQL["wait_for_chunk"], _of(run))
    except LockNotAvailable:
        pass


def _counted(cursor: Cursor[Any], name: str, run: Run) -> Run:
    """Add the counts of the chunks that a statement returns to the run's tally."""
    tallies = (JSON.validate_python(tally) for (tally,) in cursor.execute(SQL[name], {"run_id": run.run_id}))
    return replace(run, tally=sum(tallies, run.tally))


def _any(cursor: Cursor[Any], name: str, run: Run) -> bool:
    return cursor.execute(SQL[name], _of(run)).fetchone() is not None


def _of(run: Run) -> dict[str, Any]:
    return {"run_id": run.run_id, "round": run.round, "phase": run.phase}
