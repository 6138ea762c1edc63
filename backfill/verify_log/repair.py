"""Repair by the projector's own merge: what was found wrong is replayed from the log, then its meters are repaired.

    1 keep      with the run, the meters that the rows name: once a row is mended, nothing else tells whose it was
    2 replay    `projector replay` as a process of its own, since an auditor shares no code with the merge
    3 keep      the meters that the rows name by now; 1 to 3 are done page by page
    4 rebuild   all meters that were kept: what a row had brought one wrongly is still in its totals
    5 read on   what was applied since the run began; a row that claimed too great a version has turned it away
    6 compare   every mended row once more with what wins by now; what still differs is replayed again, thrice at most

A repair that was killed or stopped anywhere is gone on with from the first step. Steps 2 to 6 are harmless when they
are done twice, and what was kept stays with the run. A row counts as repaired by the last step alone, after every meter
kept until then was rebuilt: as long as one may still be wrong, a row of the run counts as wrong, too, and all kept are
rebuilt once more.

Of several processes that share a run one mends, and holds a lock on that to the end of its session; the others wait,
and go on where it left the run unfinished. Rows that the log knows nothing of are told, and left: there is no message
to replay, and nothing here deletes history.
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
from events.runtime.errors import WorkFailed
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
    """What a repair works with: the auditor's connection, the log, and where the consumers are by now."""

    settings: Settings
    connection: Connection[Any]
    source: Source
    positions: Positions
    tuning: RunTuning


class Wrong(NamedTuple):
    """A row that a message can mend, and where that message is."""

    entity: Entity
    entity_id: int
    partition: int
    offset: int
    suspect_id: int


def mend(deployment: Deployment, run: Run, stop: Callable[[], bool]) -> Run | None:
    """Replay what was found until it is what the log says.

    Returns:
        The run, with what was repaired and what was not, or as another process has ended it; None where it is asked to
        stop first, and to be gone on with.

    Raises:
        WorkFailed: the projector could not replay, or the auditor not repair.

    """
    connection = deployment.connection
    while not stop():
        if not workers.claim_last_step(connection, run.run_id):
            continue
        run = runs.find(connection, str(run.run_id))
        if run.state != "running":
            return run
        return _counted(connection, run) if _mended(deployment, run, stop) else None
    return None


def _mended(deployment: Deployment, run: Run, stop: Callable[[], bool]) -> bool:
    """Do all steps; return whether none was left out because we are asked to stop."""
    settings, connection, *_ = deployment
    read_to = Plan.of(run.options)
    for _ in range(ROUNDS_MAX):
        mended = 0
        for page in _pages(connection, run):
            _keep_meters(connection, run, page)
            if stop() or not _replay(settings, page, stop):
                return False
            _keep_meters(connection, run, page)
            mended += len(page)
        if not mended:
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
    """Keep with the run the meters that rows name; it is committed on return."""
    for entity, asked in METERS.items():
        ids = [each.entity_id for each in page if each.entity == entity]
        meters = sorted(meter for (meter,) in connection.execute(asked, {"ids": ids})) if ids else []
        connection.execute(SQL["keep_meters"], {"run_id": run.run_id, "meters": meters})


def _kept_meters(connection: Connection[Any], run: Run) -> Iterator[list[int]]:
    """Read the meters that are kept with a run, page by page."""
    after = BEFORE_ALL_KEYS
    while True:
        where = {"run_id": run.run_id, "after": after, "size": PAGE}
        page = [meter for (meter,) in connection.execute(SQL["kept_meters"], where)]
        if not page:
            return
        yield page
        after = page[-1]


def _replay(settings: Settings, page: Sequence[Wrong], stop: Callable[[], bool]) -> bool:
    """Have the projector replay messages, and tell whether that came to its end."""
    places = [
        {"topic": topic_of(each.entity, settings.topic_prefix), "partition": each.partition, "offset": each.offset}
        for each in page
    ]
    return replay("".join(json.dumps(place) + "\n" for place in places), stop)


def _rebuild(deployment: Deployment, meters: Sequence[int], stop: Callable[[], bool]) -> bool:
    """Repair meters, and tell whether that came to its end; it does not where we are asked to stop.

    Raises:
        WorkFailed: it did not, and nobody asked us to.

    """
    request = Request(
        command="rebuild",
        selection=Selection(meters=meters),
        tuning=deployment.tuning,
        report=ReportOptions(),
        silent=True,
    )
    code = execute(deployment.settings, request)
    if code == EXIT_PAUSED and stop():
        return False
    if code == EXIT_PAUSED:
        raise WorkFailed("history is mended, but the rebuild of its meters was ended: --resume does it again")
    if code:
        raise WorkFailed("history is mended, but not every meter: `backfill rebuild` tells which")
    return True


def _read_on(deployment: Deployment, run: Run, read_to: Plan, stop: Callable[[], bool]) -> Plan:
    """Read what was applied since the last look, for the rows that were suspected, or until we are asked to stop."""
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
    """Compare suspected rows once more, and say of those that are right that they are repaired."""
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
