"""The ledger of chunks: what lets many workers, on one machine or several, share a run, and any of them be killed.

A chunk is a range of keys, cut from where the phase stands. Its row is held, with `FOR UPDATE SKIP LOCKED`, by the
transaction that does it, so that two workers are never at one chunk, and one whose worker was killed is free again as
soon as PostgreSQL has noticed. What the chunk found, its tally and its being done commit together: a chunk is done
once or not at all, and killed at any moment, a run lacks nothing and counts nothing twice.

    open        cut, or given back by a worker that died
    repaired    a repair has committed; it is to be compared once more
    done        to be folded into the run's tally, which takes it out of the ledger

`ensure_chunk` is a short transaction of its own that holds the run's row: it folds, cuts, and moves the run to its next
phase, and at the end of a round to the next one where that is needed, once no chunk of this one is left. A chunk is of
one round: a worker that slept through the end of its own finds none. Locks are taken in this order: the run's row, a
chunk's row, then those of a check or a repair. A worker at a chunk never asks for the run's row.
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
from events.contract.types import BIGINT_MAX
from projector.database.statements import statements

SQL: Final = statements("backfill.runs", "chunks.sql")
WAIT_MS: Final = 250  # for another worker's chunk, before looking whether to stop

State = Literal["open", "repaired", "done"]
ChunkEnd = Callable[[Cursor[Any], Run, int], int | None]
"""Finds the last key of the next chunk, which is to hold so many keys; None where nothing is left."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """The keys after `after` up to and including `last`, of one phase, in one state; what it has counted until now."""

    phase: Phase
    state: State
    after: int
    last: int
    tally: Tally


def ensure_chunk(connection: Connection[Any], run: Run, size: int, chunk_ends: Mapping[Phase, ChunkEnd]) -> Run:
    """Fold what is done, and see to it that a chunk is there to be claimed, if any is left; return the run as it is.

    `size` is how many keys a new chunk has. Nothing is cut once the run is no longer running.
    """
    with connection.transaction(), connection.cursor() as cursor:
        run = runs.lock(cursor, run)
        if run.state != "running":
            return run
        run = _counted(cursor, "collect_done", run)
        while run.phase != "done" and not _any(cursor, "any_free", run):
            last = chunk_ends[run.phase](cursor, run, size) if run.cursor < BIGINT_MAX else None
            if last is not None:
                cursor.execute(SQL["create_chunk"], {**_of(run), "after": run.cursor, "last": last})
            elif _any(cursor, "any_left", run):
                break
            run = _next(cursor, run) if last is None else replace(run, cursor=last)
        return runs.advance(cursor, run)


def _next(cursor: Cursor[Any], run: Run) -> Run:
    """Go on to the next phase, or from the last one to another round, which takes all that was counted to decide."""
    following = run.next_phase()
    if following.phase != "done":
        return following
    run = _counted(cursor, "collect_done", run)
    if rounds.needed(cursor, run):
        return rounds.begin_next(cursor, run)
    return replace(following, tally=rounds.ended(cursor, run))


def collect_finished(connection: Connection[Any], run: Run) -> Run:
    """Fold what is done once more, when a worker leaves or a run is cancelled, whatever has become of it."""
    with connection.transaction(), connection.cursor() as cursor:
        seconds = runs.find(connection, str(run.run_id)).tally.seconds
        run = runs.lock(cursor, run)
        run = _counted(cursor, "collect_done", run)
        run = replace(run, tally=replace(run.tally, seconds=seconds))
        cursor.execute(SQL["store_tally"], {"run_id": run.run_id, "tally": JSON.dump_json(run.tally).decode()})
        return run


def read_with_progress(connection: Connection[Any], run_id: str) -> Run:
    """Read a run with all that its chunks have counted, in one snapshot and without changing anything.

    Raises:
        InputError: there is none.

    """
    with snapshot(connection), connection.cursor() as cursor:
        return _counted(cursor, "read_done", runs.find(connection, run_id))


def claim(cursor: Cursor[Any], run: Run, state: State) -> Chunk | None:
    """Hold a chunk of the run's phase to the end of the transaction, if one in this state is free."""
    row = cursor.execute(SQL["claim_chunk"], {**_of(run), "state": state}).fetchone()
    if row is None:
        return None
    after, last, tally = row
    return Chunk(phase=run.phase, state=state, after=after, last=last, tally=JSON.validate_python(tally))


def finish_chunk(cursor: Cursor[Any], run: Run, chunk: Chunk, state: State, delta: Tally) -> None:
    """Write down that a held chunk has come to a state, and what it counted on the way."""
    tally = JSON.dump_json(chunk.tally + delta).decode()
    cursor.execute(SQL["finish_chunk"], {**_of(run), "after": chunk.after, "state": state, "tally": tally})


def split(cursor: Cursor[Any], run: Run, chunk: Chunk, middle: int) -> None:
    """Make two of a held chunk: its keys up to and including `middle`, and those behind."""
    cursor.execute(SQL["shorten_chunk"], {**_of(run), "after": chunk.after, "middle": middle})
    cursor.execute(SQL["create_chunk"], {**_of(run), "after": middle, "last": chunk.last})


def wait(connection: Connection[Any], run: Run) -> None:
    """Wait a moment for a chunk that another worker is at."""
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {WAIT_MS}")
            connection.execute(SQL["wait_for_chunk"], _of(run))
    except LockNotAvailable:
        pass


def _counted(cursor: Cursor[Any], name: str, run: Run) -> Run:
    """Add to a run's tally those of its chunks that a statement returns."""
    tallies = (JSON.validate_python(tally) for (tally,) in cursor.execute(SQL[name], {"run_id": run.run_id}))
    return replace(run, tally=sum(tallies, run.tally))


def _any(cursor: Cursor[Any], name: str, run: Run) -> bool:
    return cursor.execute(SQL[name], _of(run)).fetchone() is not None


def _of(run: Run) -> dict[str, Any]:
    return {"run_id": run.run_id, "round": run.round, "phase": run.phase}
