"""Repairs by the projector's own merge: what differs is replayed from the log, then its meters are repaired.

    1 keep      store with the run the meters that the rows name: once a row is corrected, nothing else tells
    2 replay    run `projector replay` as a process, because the auditor shares no code with the merge
    3 keep      store the meters that the rows name now; steps 1 to 3 are done page by page
    4 rebuild   all meters that were stored: their totals may still include what a wrong row had added
    5 read on   what was applied since the run began; a row with too great a version had rejected it
    6 compare   each corrected row once more with what wins now; what still differs is replayed again, at most 3 times

A repair that was killed or stopped starts again at the first step. Steps 2 to 6 do no harm when they are repeated, and
what was stored stays with the run. Only the last step marks a row as repaired, after every meter stored until then was
rebuilt: while a meter may still be wrong, a row of the run counts as wrong too, and all stored meters are rebuilt
again.

Of several processes that share a run, one repairs and holds a lock for that up to the end of its session; the others
wait, and take over if it leaves the run unfinished. Rows of which the log has no message are reported and left: there
is nothing to replay, and nothing here deletes history.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg.types.json import Jsonb

from backfill.execution.runner import Request, execute
from backfill.execution.worker import RunTuning
from backfill.exit_codes import EXIT_PAUSED
from backfill.reports.output import ReportOptions
from backfill.runs import store as runs
from backfill.runs import workers
from backfill.runs.selection import Selection
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.verify_log import scan, settle
from backfill.verify_log.plan import BLOCK, Part, Plan, plan_of
from backfill.verify_log.replay import replay
from backfill.verify_log.source import Source
from backfill.verify_log.verdict import NAMES
from events.contract.types import Entity, TopicPartition, topic_of
from events.runtime.errors import WorkFailedError
from events.runtime.settings import Settings
from projector.database.statements import statements
from projector.kafka_log.position_check import Position

SQL: Final = statements("backfill.verify_log", "repair.sql")
ROUNDS_MAX: Final = 3
PAGE: Final = 500  # messages replayed, or meters repaired, at once
METERS: Final = {
    "invoices": SQL["meters_of_invoices"],
    "payments": SQL["meters_of_payments"],
    "assignments": SQL["meters_of_assignments"],
}

Positions = Callable[[], dict[TopicPartition, Position]]


class Deployment(NamedTuple):
    """What a repair works with: the auditor's connection, the log, the consumers' positions, and how fast to go."""

    settings: Settings
    connection: Connection[Any]
    source: Source
    positions: Positions
    tuning: RunTuning


class Wrong(NamedTuple):
    """A row that a message can correct, and the place of that message."""

    entity: Entity
    entity_id: int
    partition: int
    offset: int
    suspect_id: int


def repair(deployment: Deployment, run: Run, stop: Callable[[], bool]) -> Run | None:
    """Replay what was found until it agrees with the log.

    Returns:
        The run, with what was repaired and what was not, or as another process ended it; None if a stop is requested
        first, and the run is to be resumed.

    Raises:
        WorkFailedError: the projector could not replay, or the auditor could not repair.

    """
    connection = deployment.connection
    while not stop():
        if not workers.claim_last_step(connection, run.run_id):
            continue
        run = runs.find(connection, str(run.run_id))
        if run.state != "running":
            return run
        return _counted(connection, run) if _repaired(deployment, run, stop) else None
    return None


def _repaired(deployment: Deployment, run: Run, stop: Callable[[], bool]) -> bool:
    """Do all steps; return whether none was left out because a stop was requested."""
    settings, connection, *_ = deployment
    read_to = Plan.of(run.options)
    for _ in range(ROUNDS_MAX):
        repaired = 0
        for page in _pages(connection, run):
            _keep_meters(connection, run, page)
            if stop() or not _replay(settings, page, stop):
                return False
            _keep_meters(connection, run, page)
            repaired += len(page)
        if not repaired:
            break
        if not all(_rebuild(deployment, meters, stop) for meters in _kept_meters(connection, run)):
            return False
        read_to = _read_on(deployment, run, read_to, stop)
        if stop():
            return False
        _compare(deployment, run, stop)
    return not stop()


def _pages(connection: Connection[Any], run: Run) -> Iterable[Sequence[Wrong]]:
    after = 0
    while True:
        where = {"run_id": run.run_id, "names": Jsonb(NAMES), "after": after, "size": PAGE}
        page = [Wrong(*row) for row in connection.execute(SQL["to_replay"], where)]
        if not page:
            return
        yield page
        after = page[-1].suspect_id


def _keep_meters(connection: Connection[Any], run: Run, page: Sequence[Wrong]) -> None:
    """Store with the run the meters that these rows name; committed on return."""
    for entity, asked in METERS.items():
        ids = [each.entity_id for each in page if each.entity == entity]
        meters = sorted(meter for (meter,) in connection.execute(asked, {"ids": ids})) if ids else []
        connection.execute(SQL["keep_meters"], {"run_id": run.run_id, "meters": meters})


def _kept_meters(connection: Connection[Any], run: Run) -> Iterator[list[int]]:
    """Read the stored meters, page by page."""
    after = BEFORE_ALL_KEYS
    while True:
        where = {"run_id": run.run_id, "after": after, "size": PAGE}
        page = [meter for (meter,) in connection.execute(SQL["kept_meters"], where)]
        if not page:
            return
        yield page
        after = page[-1]


def _replay(settings: Settings, page: Sequence[Wrong], stop: Callable[[], bool]) -> bool:
    """Have the projector replay messages; return whether it completed."""
    places = [
        {"topic": topic_of(each.entity, settings.topic_prefix), "partition": each.partition, "offset": each.offset}
        for each in page
    ]
    return replay("".join(json.dumps(place) + "\n" for place in places), stop)


def _rebuild(deployment: Deployment, meters: Sequence[int], stop: Callable[[], bool]) -> bool:
    """Repair meters; return whether that completed, which it does not if a stop is requested.

    Raises:
        WorkFailedError: it did not, although no stop was requested.

    """
    request = Request(
        command="rebuild",
        selection=Selection(meters=meters),
        tuning=deployment.tuning,
        report=ReportOptions(),
        suppress_stdout=True,
    )
    code = execute(deployment.settings, request)
    if code == EXIT_PAUSED and stop():
        return False
    if code == EXIT_PAUSED:
        raise WorkFailedError("history is repaired, but the rebuild of its meters was stopped: --resume repeats it")
    if code:
        raise WorkFailedError("history is repaired, but not every meter: `backfill rebuild` lists them")
    return True


def _read_on(deployment: Deployment, run: Run, read_to: Plan, stop: Callable[[], bool]) -> Plan:
    """Read what was applied since the last time, for the rows that were suspected, until a stop is requested."""
    ends = {(each.topic, each.partition): each.end for each in read_to.ranges}
    connection, source = deployment.connection, deployment.source
    now = plan_of(deployment.positions(), source.logs(), deployment.settings.topic_prefix)
    for each in now.ranges:
        for start in range(max(each.low, ends.get((each.topic, each.partition), each.low)), each.end, BLOCK):
            if stop():
                return now
            with connection.transaction(), connection.cursor() as cursor:
                scan.note_winners(cursor, run, Part(each, start, min(each.end, start + BLOCK)), source)
    return now


def _compare(deployment: Deployment, run: Run, stop: Callable[[], bool]) -> None:
    """Compare the suspected rows once more, and mark those that agree as repaired."""
    connection, after = deployment.connection, BEFORE_ALL_KEYS
    while not stop():
        last = settle.last_of_page(connection, run, after, settle.SUSPECTS_MAX)
        if last is None:
            return
        with connection.transaction(), connection.cursor() as cursor:
            between = (after, last)
            found = settle.judge(cursor, run, between, deployment.source, deployment.settings.topic_prefix)
            settle.mark(cursor, run, (key for key, wrong in found.items() if not wrong))
        after = last


def _counted(connection: Connection[Any], run: Run) -> Run:
    (left,) = connection.execute(SQL["count_unrepaired"], {"run_id": run.run_id}).fetchone() or (0,)
    with connection.transaction(), connection.cursor() as cursor:
        run = runs.lock(cursor, run)
        if run.state != "running":  # cancelled meanwhile
            return run
        tally = replace(run.tally, repaired=run.tally.log.rows_wrong - left, unrepaired=left)
        return runs.advance(cursor, replace(run, tally=tally))
