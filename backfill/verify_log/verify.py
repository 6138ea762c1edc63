"""`backfill verify-log`: whether history agrees with the log, as far back as the log reaches.

A drift check compares two things within one database, and a user who can write there can make them agree. This compares
history with the messages that it was made of. Why the method is sound:

- **Everything below a stored position is applied**, in the position's own transaction: as a history row of at least
  that rank, or as a dead letter. So for each message below the positions that a run read at its start, unless it is an
  open or discarded dead letter, the row must exist, and its rank (version, event id as bytes, then the earlier place)
  must not be less. Ranks only grow, so a row may be compared at any later time: consumers need not pause, no snapshot
  has to last, and no tolerance is needed. (`projector positions set` to a later offset skips messages: they are found.)
- **A row with the state of a message must agree with it** in every column. The winning message of the log is the one
  of the greatest rank, so a row is correct if it equals that message, or comes from one that was applied since, or
  from one that the broker no longer has.
- **A row must come from somewhere.** It names its place; where that was read, a message must have confirmed it, and
  because a message carries one entity, of two rows with one place one is invented. An offset that no consumer can have
  read yet is no place. A row from before the log's beginning, or from no message at all (history that was loaded), is
  counted as not covered: the log says nothing about it.

One pass over the log compares by key and keeps a bit for each offset whose message is the row of its entity; one pass
over the tables looks these bits up. Neither decides: they *suspect* rows. If anything is suspected, the log is read
once more to find the winning message of those rows, and each suspected row is compared again. A correct history is read
once. So a dead letter that is retried meanwhile is no finding, nor is a row from a topic that was recreated since and
published anew: its place belongs to another log, but a message of this one says the same. (What was *not* published
again of such a topic is reported as unknown, which it is.)

Not an edit: an invoice whose amount is what its lines charge, as `backfill invoice-amounts` makes it (counted as
amended); `allocated_meter_id` and the marks, which no event contains (a drift check compares those).

Chunks work as in any run. Their keys are offsets, keys of tables, or suspects; a chunk's bits, suspects or findings
commit together with its new state, so a run can be killed, resumed, and shared by `--resume`. Memory holds a batch of
messages (at most 2,000 or 8 MB; a larger message alone), librdkafka's queue (16 MB), and a thousand suspects.
PostgreSQL keeps half a kilobyte for 4,096 offsets, and the suspects, until the run ends. A topic that is recreated or
truncated meanwhile ends the run: nothing that was read of it counts.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Final

import psycopg
from confluent_kafka import KafkaException
from psycopg import Connection, Cursor
from sqlalchemy import Engine

from backfill.execution import progress
from backfill.execution.runner import brakes, failure_written_down, record
from backfill.execution.worker import RunTuning
from backfill.exit_codes import EXIT_CLEAN, EXIT_FOUND, EXIT_PAUSED, EXIT_UNCHECKED
from backfill.reports import output
from backfill.reports.output import ReportOptions
from backfill.runs import chunks, workers
from backfill.runs import store as runs
from backfill.runs.chunks import Chunk, ChunkEnd
from backfill.runs.phases import Phase
from backfill.runs.session import ready, retried, session
from backfill.runs.stopping import GivenUpError, asked_to_stop, giving_up_late
from backfill.runs.store import Run
from backfill.runs.tally import Tally
from backfill.throttle.pace import Pace
from backfill.verify_log import partitions, repair, scan, settle, staging
from backfill.verify_log.plan import Plan, plan_of
from backfill.verify_log.repair import Deployment
from backfill.verify_log.source import Source, opened
from events.contract.types import Entity, TopicPartition
from events.runtime.console import say
from events.runtime.errors import ServiceUnavailableError, StateError
from events.runtime.settings import Settings, required
from projector.database.engines import transaction
from projector.database.statements import statements
from projector.kafka_log.position_check import Position
from projector.positions import store as positions

SQL: Final = statements("backfill.verify_log", "verify.sql")
Do = Callable[[Cursor[Any], Run, Chunk], Tally]

ROWS_OF: Final[Mapping[Phase, Entity]] = {
    "rows-invoices": "invoices",
    "rows-payments": "payments",
    "rows-assignments": "assignments",
    "rows-customers": "customers",
}
# log        read the log; suspect the rows that differ from a message, confirm the others
# rows-*     suspect the rows that name an offset at which nothing confirmed them
# places     suspect the rows that name the same message
# winners    if anything is suspected, read the log once more for the winning message of those rows
# verdicts   compare each suspected row with that
CHUNK_ENDS: Final[Mapping[Phase, ChunkEnd]] = {
    "log": scan.next_log_end,
    **{phase: partitions.next_rows_end(entity) for phase, entity in ROWS_OF.items()},
    "places": partitions.next_table_end,
    "winners": scan.next_suspected_log_end,
    "verdicts": settle.next_suspects_end,
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options as they were typed."""

    report: ReportOptions
    tuning: RunTuning
    repair: bool = False
    resume: str | None = None
    chunk_size: int | None = None


def verify_log(settings: Settings, asked: Asked) -> int:
    """Compare history with the log, print the report, and return the exit code.

    Raises:
        StateError: history is not from this log, or nothing was read of it.
        ServiceUnavailableError: PostgreSQL or Kafka is unavailable, or refuses the connection.

    """
    required(settings, "kafka_bootstrap_servers")
    with ready(settings) as engine, session(engine) as connection, output.opened(asked.report) as file:
        staging.prepare(connection)
        stored = partial(_positions, engine, settings.group_id)
        with opened(settings, engine) as source:
            run = _begun(settings, connection, source, asked, stored)
            with (
                failure_written_down(settings, connection, run),
                _failure_of_the_log_written_down(connection, run),
                asked_to_stop(settings.shutdown_seconds) as stop,
                progress.shown(connection, run, _total) as watch,
                brakes(settings, engine, asked.tuning) as chosen,
            ):
                run = _work(connection, run, _do(settings, source), stop, Pace(chosen, stop), watch)
                whole = run.phase == "done"
                if whole and run.options.get("repair"):
                    repaired = repair.repair(Deployment(settings, connection, source, stored, asked.tuning), run, stop)
                    run, whole = repaired or run, repaired is not None and repaired.state in {"running", "finished"}
        run = _ended(connection, run, whole=whole)
        if run.state == "finished":
            connection.execute(SQL["delete_work"], {"run_id": run.run_id})
        sentence = output.write_report(settings, connection, run, asked.report, file)
        if sentence:
            say(sentence)
    record(run)
    return exit_code(run)


def _total(_connection: Connection[Any], run: Run) -> int | None:
    """Count the offsets that a pass over the log reads; how many rows the tables have is not counted beforehand."""
    return Plan.of(run.options).total if run.phase in {"log", "winners"} else None


def _positions(engine: Engine, group_id: str) -> dict[TopicPartition, Position]:
    with transaction(engine) as connection:
        return positions.read(connection, group_id)


@contextmanager
def _failure_of_the_log_written_down(connection: Connection[Any], run: Run) -> Iterator[None]:
    """Store with the run that Kafka is unavailable, or its log another one; the run can be resumed."""
    try:
        yield
    except (ServiceUnavailableError, StateError, KafkaException) as error:
        with suppress(StateError, psycopg.Error), workers.leave(connection, run.run_id) as alone:
            if alone:
                runs.change_state(connection, chunks.collect_finished(connection, run), "failed", str(error))
        raise


def _ended(connection: Connection[Any], run: Run, *, whole: bool) -> Run:
    """Finish a run that is done; pause one that is not, unless other processes go on with it."""
    run = chunks.collect_finished(connection, run)
    with workers.leave(connection, run.run_id) as alone, suppress(StateError):  # another process ended it first
        if whole or alone:
            return runs.change_state(connection, run, "finished" if whole else "paused")
    return runs.find(connection, str(run.run_id))


def exit_code(run: Run) -> int:
    """Return the exit code of a run."""
    if run.state != "finished":
        return EXIT_PAUSED
    wrong = run.tally.unrepaired if run.options.get("repair") else run.tally.log.rows_wrong
    if wrong:
        return EXIT_FOUND
    return EXIT_UNCHECKED if run.tally.log.unreadable else EXIT_CLEAN


def _begun(
    settings: Settings, connection: Connection[Any], source: Source, asked: Asked, stored_positions: repair.Positions
) -> Run:
    if asked.resume:
        run = runs.find(connection, asked.resume)
        if run.command == "verify-log":
            source.require_unchanged(Plan.of(run.options))
        return runs.resume(connection, "verify-log", asked.resume, dry=False)
    stored = stored_positions()
    plan = plan_of(stored, source.logs(), settings.topic_prefix)  # read after them: no position is behind an end
    size = {} if asked.chunk_size is None else {"chunk_size": asked.chunk_size}
    return runs.begin(connection, "verify-log", {"repair": asked.repair, **size, **plan.options})


def _do(settings: Settings, source: Source) -> Mapping[Phase, Do]:
    """Return what is done with a chunk of each phase."""
    prefix = settings.topic_prefix
    return {
        "log": partial(scan.compare, source=source),
        **{phase: partitions.place_rows(entity, prefix) for phase, entity in ROWS_OF.items()},
        "places": partitions.suspect_sharers,
        "winners": lambda cursor, run, chunk: scan.note_winners(
            cursor, run, Plan.of(run.options).part(chunk.after, chunk.last), source
        ),
        "verdicts": partial(settle.settle, source=source, prefix=prefix),
    }


def _work(  # noqa: PLR0913, PLR0917 - a run and what it needs
    connection: Connection[Any],
    run: Run,
    do: Mapping[Phase, Do],
    stop: Callable[[], bool],
    pace: Pace,
    watch: Callable[[Run], None],
) -> Run:
    """Process chunks until none is left, as `backfill.execution.worker` does."""
    with suppress(GivenUpError), giving_up_late(connection):
        while not stop():
            run = chunks.ensure_chunk(connection, run, pace.size(run), CHUNK_ENDS)
            if run.state != "running" or run.phase == "done":
                break
            watch(run)
            began = monotonic()
            delta = retried(partial(_chunk, connection, run, do[run.phase]))
            if delta is None:
                chunks.wait(connection, run)
            else:
                pace.after(run, delta, monotonic() - began)
    return run


def _chunk(connection: Connection[Any], run: Run, do: Do) -> Tally | None:
    with connection.transaction(), connection.cursor() as cursor:
        chunk = chunks.claim(cursor, run, "open")
        if chunk is None:
            return None
        delta = do(cursor, run, chunk)
        chunks.finish_chunk(cursor, run, chunk, "done", delta)
        return delta
