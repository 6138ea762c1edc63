"""A worker's loop: it processes the chunks of a run until none is left or a stop is requested.

    1 ensure  in a short transaction, make sure that there is a chunk to process
    2 claim   lock the chunk's row, in the transaction that processes the chunk
    3 do      compare it, repair what was found, or compare once more what was repaired
    4 finish  store the chunk's new state and its counts, and commit
    5 pace    choose the next chunk's size, and pause where a brake asks for it

A worker can only die between commits: a chunk is done or open, never half done (see `backfill.runs.chunks`).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from psycopg import Connection, Cursor

from backfill.audit import check, repair, verify
from backfill.runs import chunks, rounds, tally
from backfill.runs.chunks import Chunk, ChunkEnd, State
from backfill.runs.phases import Phase
from backfill.runs.session import retried, snapshot
from backfill.runs.stopping import GivenUpError, given_up, giving_up_late
from backfill.runs.store import Run
from backfill.runs.tally import Tally
from backfill.throttle.pace import Pace
from events.runtime.errors import WorkFailedError
from projector.database import sqlstates
from projector.database.failures import describe_error

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class RunTuning:
    """How fast a run may go in this process; nothing of it changes what is found.

    `governed` runs slow down while consumers are overloaded. It has no default: every caller says which it wants.
    """

    workers: int = 1
    rows_per_second_max: float | None = None
    governed: bool


class ChunkStage(NamedTuple):
    """One transaction over a chunk: the state in which it takes the chunk, the state in which it leaves it, its work.

    `do` returns None where it did only a part of the chunk, which is then to be taken again. A stage that is `optional`
    does at once what the phases that repair do otherwise; what it cannot do is left to them.
    """

    takes: State
    leaves: State
    transaction: Callable[[Connection[Any]], AbstractContextManager[Any]]
    keys: Callable[[Cursor[Any], Run, Chunk], Sequence[int]]
    do: Callable[[Cursor[Any], Run, Sequence[int]], Tally | None]
    optional: bool = False

    def state_after(self, run: Run, delta: Tally) -> State:
        """Return the state in which a chunk is left: there is nothing to repair where nothing was found."""
        if self.leaves == "compared" and not (run.repairs and (delta.drifted or delta.found_again)):
            return "done"
        return self.leaves


class ChunkResult(NamedTuple):
    """The counts of one transaction over a chunk, and how many keys the chunk had."""

    delta: Tally
    keys: int

    def repaired_nothing(self, phase: Phase) -> bool:
        """Tell whether every key still differs after its repair: something undoes it.

        A customer may still differ because a damaged meter moved to it meanwhile; the next round repairs that one.
        """
        return phase == "repair-meters" and 0 < self.delta.unrepaired >= self.keys


LOCKING: Final = Connection.transaction  # READ COMMITTED: what is read after a lock is as of then
METERS: Final = repair.drifted("meter")
CUSTOMERS: Final = repair.drifted("customer")
STAGES: Final[Mapping[Phase, Sequence[ChunkStage]]] = {
    "customers": [
        ChunkStage("repaired", "done", snapshot, check.customers, verify.verify_found_of_customers, optional=True),
        ChunkStage("compared", "repaired", LOCKING, check.customers, repair.repair_found_of_customers, optional=True),
        ChunkStage("open", "compared", snapshot, check.customers, check.compare_customers),
    ],
    "meters": [
        ChunkStage("repaired", "done", snapshot, check.window_meters, verify.verify_found_meters, optional=True),
        ChunkStage("compared", "repaired", LOCKING, check.window_meters, repair.repair_found_meters, optional=True),
        ChunkStage("open", "compared", snapshot, check.window_meters, check.compare_meters),
    ],
    "repair-meters": [
        ChunkStage("repaired", "done", snapshot, METERS, verify.verify_meters),
        ChunkStage("open", "repaired", LOCKING, METERS, repair.repair_meters),
    ],
    "repair-customers": [
        ChunkStage("repaired", "done", snapshot, CUSTOMERS, verify.verify_customers),
        ChunkStage("open", "repaired", LOCKING, CUSTOMERS, repair.repair_customers),
    ],
}
"""The stages of a chunk in each phase, in reverse, so that a half-done chunk is finished before another is begun."""
CHUNK_ENDS: Final[Mapping[Phase, ChunkEnd]] = {
    "customers": check.next_customers_end,
    "meters": check.next_meters_end,
    "repair-meters": repair.next_drifted_end("meter"),
    "repair-customers": repair.next_drifted_end("customer"),
}


def run_worker(
    connection: Connection[Any], run: Run, *, stop: Callable[[], bool], pace: Pace, watch: Callable[[Run], None]
) -> Run:
    """Process chunks until none is left; return the run as it was last read, after a signal perhaps with an open chunk.

    Raises:
        WorkFailedError: a repair changed nothing, or the last round that is allowed still found drift.

    """
    granted = run.round + rounds.GRANTED
    with suppress(GivenUpError), giving_up_late(connection):
        while not stop():
            run = chunks.ensure_chunk(connection, run, pace.size(run), CHUNK_ENDS)
            if run.round > granted and rounds.too_many(run):
                raise WorkFailedError(rounds.kept_coming(connection, run))
            if run.state != "running" or run.phase == "done":
                break
            watch(run)
            began = monotonic()
            done = process_chunk(connection, run)
            if done is None:
                chunks.wait(connection, run)
            elif done.repaired_nothing(run.phase) and not _any_failed(connection, run):
                why = f"all {done.keys} of a chunk still differ; something undoes it"
                raise WorkFailedError(f"the repair does not hold: {why}")
            else:
                pace.after(run, done.delta, monotonic() - began)
    return run


def process_chunk(connection: Connection[Any], run: Run) -> ChunkResult | None:
    """Process one chunk of the run's phase; None where no chunk is free."""
    for each in STAGES[run.phase]:
        if each.optional and not run.repairs:
            continue
        if done := retried(partial(_transaction, connection, run, each)):
            return done
    return None


def _transaction(connection: Connection[Any], run: Run, each: ChunkStage) -> ChunkResult | None:
    with each.transaction(connection), connection.cursor() as cursor:
        chunk = chunks.claim(cursor, run, each.takes)
        if chunk is None:
            return None
        keys = each.keys(cursor, run, chunk)
        try:
            with connection.transaction():
                delta = each.do(cursor, run, keys)
        except sqlstates.CONFLICTS:
            raise
        except repair.TooManyError:
            return _halved(cursor, run, chunk, keys)
        except psycopg.Error as error:
            if connection.closed or given_up(connection):
                raise
            return _refused(cursor, run, chunk, keys, error, optional=each.optional)
        if delta is None:  # a part of the chunk is done: it stays open
            return ChunkResult(Tally(), 0)
        chunks.finish_chunk(cursor, run, chunk, each.state_after(run, delta), rounds.counted(run, delta))
        return ChunkResult(delta, len(keys))


def _halved(cursor: Cursor[Any], run: Run, chunk: Chunk, keys: Sequence[int]) -> ChunkResult:
    """Split a chunk in two, both still to be processed."""
    chunks.split(cursor, run, chunk, keys[len(keys) // 2 - 1])
    return ChunkResult(Tally(), 0)


def _refused(  # noqa: PLR0913 - a chunk, and what became of it
    cursor: Cursor[Any], run: Run, chunk: Chunk, keys: Sequence[int], error: psycopg.Error, *, optional: bool
) -> ChunkResult:
    """Halve a chunk that holds a value which PostgreSQL refuses, down to the one key; record that key as failed."""
    halves = optional or chunk.state == "open"
    if halves and len(keys) > 1 and sqlstates.lies_in_values(error):
        return _halved(cursor, run, chunk, keys)
    if optional:  # the phases that repair do it again, and record what they cannot do
        chunks.finish_chunk(cursor, run, chunk, "done", Tally())
        return ChunkResult(Tally(), len(keys))
    first, last = (keys[0], keys[-1]) if keys else (chunk.after, chunk.last)
    _log.error("chunk failed", phase=run.phase, first=first, last=last, reason=describe_error(error))
    delta = tally.failure(run.phase, first, last, describe_error(error))
    chunks.finish_chunk(cursor, run, chunk, "done", delta)
    return ChunkResult(delta, len(keys))


def _any_failed(connection: Connection[Any], run: Run) -> bool:
    """Tell whether a chunk of the run failed: that explains why a repair changed nothing."""
    return chunks.collect_finished(connection, run).tally.failed > 0
