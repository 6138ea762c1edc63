"""What a worker does: chunk after chunk of a run, until none is left or it is asked to stop.

    1 prepare   in a short transaction, see to it that a chunk is there
    2 claim     hold it, in the transaction that does it
    3 do        compare, repair, or compare once more what was repaired
    4 settle    write down what became of it, and commit
    5 pace      choose the next chunk's size, and rest where that is wished

Everything that may be killed is killed between two commits, so what it leaves is a chunk that is done, or one that is
open; see `backfill.runs.chunks`.
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
from backfill.runs.session import RETRIED, reason, retried, snapshot
from backfill.runs.stopping import GivenUpError, given_up, giving_up_late
from backfill.runs.store import Run
from backfill.runs.tally import Tally
from backfill.throttle.pace import Pace
from events.runtime.errors import WorkFailed

REFUSED_VALUES: Final = ("22", "23")  # SQLSTATE classes: some one row's value is at fault, so the others may go in

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
    """One transaction over a chunk: which chunks it takes, in which state it leaves them, and what it does.

    What it does returns None where only a part of it is done, and the chunk is to be taken again.
    """

    takes: State
    leaves: State
    transaction: Callable[[Connection[Any]], AbstractContextManager[Any]]
    keys: Callable[[Cursor[Any], Run, Chunk], Sequence[int]]
    do: Callable[[Cursor[Any], Run, Sequence[int]], Tally | None]


class ChunkResult(NamedTuple):
    """What one transaction over a chunk came to, of so many keys."""

    delta: Tally
    keys: int

    def repaired_nothing(self, phase: Phase) -> bool:
        """Tell whether something undoes the repair: it left all as it was.

        A customer may differ after its repair for the sake of a meter that was damaged and moved in meanwhile: that one
        is the next round's.
        """
        return phase == "repair-meters" and 0 < self.delta.unrepaired >= self.keys


METERS: Final = repair.drifted("meter")
CUSTOMERS: Final = repair.drifted("customer")
STAGES: Final[Mapping[Phase, Sequence[ChunkStage]]] = {
    "customers": [ChunkStage("open", "done", snapshot, check.customers, check.compare_customers)],
    "meters": [ChunkStage("open", "done", snapshot, check.window_meters, check.compare_meters)],
    "repair-meters": [
        ChunkStage("repaired", "done", snapshot, METERS, verify.verify_meters),
        ChunkStage("open", "repaired", Connection.transaction, METERS, repair.repair_meters),
    ],
    "repair-customers": [
        ChunkStage("repaired", "done", snapshot, CUSTOMERS, verify.verify_customers),
        ChunkStage("open", "repaired", Connection.transaction, CUSTOMERS, repair.repair_customers),
    ],
}
"""What is done with a chunk of each phase; what is half done is taken first."""
CHUNK_ENDS: Final[Mapping[Phase, ChunkEnd]] = {
    "customers": check.next_customers_end,
    "meters": check.next_meters_end,
    "repair-meters": repair.next_drifted_end("meter"),
    "repair-customers": repair.next_drifted_end("customer"),
}


def run_worker(
    connection: Connection[Any], run: Run, *, stop: Callable[[], bool], pace: Pace, watch: Callable[[Run], None]
) -> Run:
    """Do chunk after chunk; return the run as it was last seen, after a signal perhaps with a chunk given up.

    Raises:
        WorkFailed: what was repaired differs as it did before, or the last round that is allowed found drift.

    """
    granted = run.round + rounds.GRANTED
    with suppress(GivenUpError), giving_up_late(connection):
        while not stop():
            run = chunks.ensure_chunk(connection, run, pace.size(run), CHUNK_ENDS)
            if run.round > granted and rounds.too_many(run):
                raise WorkFailed(rounds.kept_coming(connection, run))
            if run.state != "running" or run.phase == "done":
                break
            watch(run)
            began = monotonic()
            done = process_chunk(connection, run)
            if done is None:
                chunks.wait(connection, run)
            elif done.repaired_nothing(run.phase) and not _any_failed(connection, run):
                why = f"all {done.keys} of a chunk still differ; something undoes it"
                raise WorkFailed(f"the repair does not hold: {why}")
            else:
                pace.after(run, done.delta, monotonic() - began)
    return run


def process_chunk(connection: Connection[Any], run: Run) -> ChunkResult | None:
    """Do one chunk of the run's phase, if one is free."""
    for each in STAGES[run.phase]:
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
        except RETRIED:
            raise
        except repair.TooManyError:
            return _halved(cursor, run, chunk, keys)
        except psycopg.Error as error:
            if connection.closed or given_up(connection):
                raise
            return _refused(cursor, run, chunk, keys, error)
        if delta is None:  # some of it: the chunk stays as it is
            return ChunkResult(Tally(), 0)
        chunks.finish_chunk(cursor, run, chunk, each.leaves, rounds.counted(run, delta))
        return ChunkResult(delta, len(keys))


def _halved(cursor: Cursor[Any], run: Run, chunk: Chunk, keys: Sequence[int]) -> ChunkResult:
    """Make two of a chunk, and leave both to be done."""
    chunks.split(cursor, run, chunk, keys[len(keys) // 2 - 1])
    return ChunkResult(Tally(), 0)


def _refused(cursor: Cursor[Any], run: Run, chunk: Chunk, keys: Sequence[int], error: psycopg.Error) -> ChunkResult:
    """Halve a chunk of which PostgreSQL refuses some value, until the key at fault stands alone; tell that one."""
    if chunk.state == "open" and len(keys) > 1 and (error.sqlstate or "").startswith(REFUSED_VALUES):
        return _halved(cursor, run, chunk, keys)
    first, last = (keys[0], keys[-1]) if keys else (chunk.after, chunk.last)
    _log.error("chunk failed", phase=run.phase, first=first, last=last, reason=reason(error))
    delta = tally.failure(run.phase, first, last, reason(error))
    chunks.finish_chunk(cursor, run, chunk, "done", delta)
    return ChunkResult(delta, len(keys))


def _any_failed(connection: Connection[Any], run: Run) -> bool:
    """Tell whether a chunk of the run failed, which would explain that its repair left something as it was."""
    return chunks.collect_finished(connection, run).tally.failed > 0
