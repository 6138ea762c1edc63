"""A step that amends history: it pages by key, decides, and changes what it decided under a repair's locks.

A chunk is one short transaction. What it would change is decided once without locks, which names the rows and meters to
lock. They are locked in the order that consumers use (history, meters, customers), and the decision is made **again**,
in a statement that begins under the locks of the rows. A consumer with a newer version of such a row has either
committed, and is seen, or waits and then supersedes what is written here. Rows, marks, meters and customers change in
that one transaction: no reader ever sees an amended row that the balances do not include. Other drift in the meters of
the chunk is repaired with it, because their figures are recomputed and not adjusted.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from psycopg import Connection, Cursor

from backfill.audit import comparison, repair
from backfill.runs.phases import Command
from backfill.runs.session import retried
from backfill.runs.stopping import given_up
from backfill.runs.store import BEFORE_ALL_KEYS, PART_OF
from backfill.runs.tally import Failure
from projector.database import sqlstates
from projector.database.bisect import bisect, halve_keys
from projector.database.failures import describe_error

CHUNK_SIZE: Final = 1000  # rows: a transaction that amends all of them takes well under a second

_log = structlog.get_logger()

Row = dict[str, Any]


class Statements(NamedTuple):
    """The statements of a step, in the order in which a chunk runs them."""

    create: str
    next_keys: str
    decide: str
    tally: str
    to_review: str
    to_change: str
    scope: str
    lock: str
    clear: str
    change: str


class Options(NamedTuple):
    """How a step is done; `part_of` is the command whose part it is."""

    dry: bool = False
    chunk_size: int = CHUNK_SIZE
    part_of: str | None = None

    @property
    def stored(self) -> dict[str, Any]:
        """What a run's row keeps of them."""
        part = {} if self.part_of is None else {PART_OF: self.part_of}
        return {"dry_run": self.dry, "chunk_size": self.chunk_size, **part}


class Outcome(NamedTuple):
    """What can become of a row: a description, whether the step changes it, whether it needs a review."""

    words: str
    changes: bool = False
    listed: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """One migration step."""

    command: Command
    title: str
    noun: str
    outcomes: Mapping[str, Outcome]
    statements: Statements

    def changed(self, counts: Mapping[str, int]) -> int:
        """Count the rows that the step changes, or would change in a dry run."""
        return sum(count for outcome, count in counts.items() if self.outcomes[outcome].changes)

    def to_review(self, counts: Mapping[str, int]) -> int:
        """Count the rows that need a review."""
        return sum(count for outcome, count in counts.items() if self.outcomes[outcome].listed)


class ChunkOutcome(NamedTuple):
    """What became of one chunk: rows by outcome, those to review, or why it failed."""

    counts: Counter[str]
    listed: list[Row]
    failure: Failure | None = None


def walk(connection: Connection[Any], step: Step, options: Options, stop: Callable[[], bool]) -> Iterator[ChunkOutcome]:
    """Process chunk after chunk until none is left or a stop is requested; a refused chunk is reported."""
    connection.execute(step.statements.create)
    attempt = partial(_attempt, connection, step, dry=options.dry)
    after = BEFORE_ALL_KEYS
    while not stop():
        keys = connection.execute(step.statements.next_keys, {"after": after, "size": options.chunk_size})
        ids: Sequence[int] = [key for (key,) in keys]
        if not ids:
            return
        yield from bisect(ids, attempt, halve=halve_keys, refuse=partial(_failed, step))
        after = ids[-1]


def _attempt(connection: Connection[Any], step: Step, ids: Sequence[int], *, dry: bool) -> ChunkOutcome:
    """Process these rows; a refusal that is not about a value in one of them is recorded for all of them."""
    try:
        return retried(lambda: _chunk(connection, step, ids, dry=dry))
    except sqlstates.CONFLICTS:
        raise
    except psycopg.Error as error:
        if connection.closed or given_up(connection) or sqlstates.lies_in_values(error):
            raise
        return _failed(step, ids, error)


def _failed(step: Step, ids: Sequence[int], error: psycopg.Error) -> ChunkOutcome:
    failure = Failure(phase=step.command, first=ids[0], last=ids[-1], reason=describe_error(error))
    _log.error("chunk failed", phase=failure.phase, first=failure.first, last=failure.last, reason=failure.reason)
    return ChunkOutcome(Counter(), [], failure)


def _chunk(connection: Connection[Any], step: Step, ids: Sequence[int], *, dry: bool) -> ChunkOutcome:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(step.statements.decide, {"ids": list(ids)})
        done = _decided(cursor, step)
        chosen = [key for (key,) in cursor.execute(step.statements.to_change)]
        if dry or not chosen:
            return done
        left = {outcome: count for outcome, count in done.counts.items() if not step.outcomes[outcome].changes}
        listed = [row for row in done.listed if not step.outcomes[row["outcome"]].changes]
        _change(cursor, step, chosen)
        changed = _decided(cursor, step)
        return ChunkOutcome(Counter(left) + changed.counts, listed + changed.listed)


def _change(cursor: Cursor[Any], step: Step, chosen: list[int]) -> None:
    def amend() -> None:
        cursor.execute(step.statements.clear)
        cursor.execute(step.statements.decide, {"ids": chosen})
        cursor.execute(step.statements.change)

    cursor.execute(step.statements.scope)
    comparison.find_disagreements(cursor)
    cursor.execute(step.statements.lock)
    repair.recompute(cursor, amend)


def _decided(cursor: Cursor[Any], step: Step) -> ChunkOutcome:
    """Read the decisions; the commit empties their table."""
    counts = Counter[str](dict(cursor.execute(step.statements.tally).fetchall()))
    rows = cursor.execute(step.statements.to_review)
    names = [column.name for column in rows.description or ()]
    return ChunkOutcome(counts, [dict(zip(names, row, strict=True)) for row in rows])
