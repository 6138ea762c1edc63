"""`backfill verify-log`: whether history is what the log says, as far as it reaches.

A drift check compares two things within one database, and whoever may write there can make them agree. This compares
history with the messages that it was made of. Why it is sound:

- **Everything below a stored position is applied**, in the position's own transaction: a row of history of at least
  that rank, or a dead letter. So of each message below the positions that a run read at its start, unless it is an open
  or discarded dead letter, the row must be there, and its rank (version, event id as bytes, then the sooner place) must
  not be less. Ranks only grow, so a row may be looked at at any time later: consumers need not pause, no snapshot has
  to last, and no tolerance is needed. (`projector positions set` to a later offset skips messages: they are found.)
- **A row that is a message's state must say what it says**, in every column. What wins of the log is the message of
  the greatest rank, so a row is right where it equals that one, or comes from one that was applied since, or from one
  that the broker no longer has.
- **A row must come from somewhere.** It names its place; where that was read, a message has to have confirmed it, and
  since a message brings one entity, of two rows with one place one is invented. An offset that nobody can have read
  yet is none. What says that it comes from before the log's beginning, or from no message at all (history that was
  loaded), is counted as not covered: the log cannot say anything about it.

One pass over the log compares by key and keeps a bit for each offset whose message is the row of its entity; one pass
over the tables looks those bits up. Neither decides: they *suspect* rows. Where anything is suspected the log is read
once more and keeps, of those rows alone, what wins; each suspected row is then looked at again. A clean history is
read once. So a dead letter that is retried meanwhile is no finding, nor is a row from a topic that was created again
since and published anew: its place is another log's, but a message of this one says the same. (What of such a topic
was *not* published again is reported as unknown. It is.)

What is no edit: an invoice whose amount is what its lines charge, as `backfill invoice-amounts` makes it (counted as
amended); `allocated_meter_id` and the marks, which no event says (a drift check compares those).

The ledger of chunks serves as in any run: offsets, keys, or suspects; a chunk's bits, suspects or findings commit with
its being done, so it can be killed, resumed, and shared by `--resume`. In memory are a batch of messages (at most
2,000 or 8 MB; one that is larger alone), librdkafka's queue (16 MB), and a thousand suspects. PostgreSQL keeps half a
kilobyte for 4,096 offsets, and the suspects, until the run ends. A topic that is created again, or cut, meanwhile ends
the run: nothing read of it counts.
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
from events.runtime.errors import ServiceUnavailable, StateError
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
# log        read the log; suspect the rows that are not what a message says, confirm the others
# rows-*     suspect the rows that come, as they say, from an offset where nothing confirmed them
# places     suspect the rows that say that they come from one and the same message
# winners    read the log once more, where anything is suspected, for what its messages say of those rows
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
    """What was typed."""

    report: ReportOptions
    tuning: RunTuning
    repair: bool = False
    resume: str | None = None
    chunk_size: int | None = None


def verify_log(settings: Settings, asked: Asked) -> int:
    """Compare history with the log, print the report, and return the exit code.

    Raises:
        StateError: history is not from this log, or nothing was read of it.
        ServiceUnavailable: PostgreSQL or Kafka is away, or refuses us.

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
                    mended = repair.mend(Deployment(settings, connection, source, stored, asked.tuning), run, stop)
                    run, whole = mended or run, mended is not None and mended.state in {"running", "finished"}
        run = _ended(connection, run, whole=whole)
        if run.state == "finished":
            connection.execute(SQL["forget_work"], {"run_id": run.run_id})
        said = output.write_report(settings, connection, run, asked.report, file)
        if said:
            say(said)
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
    """Write down with the run that Kafka is away, or its log another one; the run can be gone on with."""
    try:
        yield
    except (ServiceUnavailable, StateError, KafkaException) as error:
        with suppress(StateError, psycopg.Error), workers.leave(connection, run.run_id) as alone:
            if alone:
                runs.change_state(connection, chunks.collect_finished(connection, run), "failed", str(error))
        raise


def _ended(connection: Connection[Any], run: Run, *, whole: bool) -> Run:
    """End a run that is done; pause one that is not, unless others go on with it."""
    run = chunks.collect_finished(connection, run)
    with workers.leave(connection, run.run_id) as alone, suppress(StateError):  # where another process was faster
        if whole or alone:
            return runs.change_state(connection, run, "finished" if whole else "paused")
    return runs.find(connection, str(run.run_id))


def exit_code(run: Run) -> int:
    """Say by number how a run ended."""
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
    plan = plan_of(stored, source.logs(), settings.topic_prefix)  # asked after them: no position is behind an end
    size = {} if asked.chunk_size is None else {"chunk_size": asked.chunk_size}
    return runs.begin(connection, "verify-log", {"repair": asked.repair, **size, **plan.options})


def _do(settings: Settings, source: Source) -> Mapping[Phase, Do]:
    """Say what is done with a chunk of each phase."""
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
    """Do chunk after chunk, as `backfill.execution.worker` does."""
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
