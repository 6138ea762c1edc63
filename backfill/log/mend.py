"""Repair by the projector's own merge: what was found wrong is replayed from the log, then its meters are repaired.

    1 replay    `projector replay` as a process of its own, since an auditor shares no code with the merge
    2 rebuild   the meters that the rows named before and name now: a row that was deleted is still in their totals
    3 read on   what was applied since the run began; a row that claimed too great a version has turned it away
    4 compare   every mended row once more with what wins by now; what still differs is replayed again, thrice at most

Each step is harmless when it is done twice, so a repair that was killed is simply gone on with. Rows that the log knows
nothing of are told, and left: there is no message to replay, and nothing here deletes history.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg.types.json import Jsonb

from backfill import runs
from backfill.execute import EXIT_PAUSED, Request, execute
from backfill.log import scan, settle
from backfill.log.plan import BLOCK, Part, Plan, plan_of
from backfill.log.source import Source
from backfill.log.staging import SQL
from backfill.log.verdict import NAMES
from backfill.runs import BEFORE_ALL_KEYS, Run
from backfill.selection import Selection
from backfill.telling import Telling
from events.errors import WorkFailed
from events.settings import Settings
from events.types import Entity, Place, topic_of
from projector.positions import Position

ROUNDS_MAX: Final = 3
PAGE: Final = 500  # messages replayed, and their meters repaired, at once
METERS: Final = {
    "invoices": SQL["meters_of_invoices"],
    "payments": SQL["meters_of_payments"],
    "assignments": SQL["meters_of_assignments"],
}
REPLAY: Final = (
    sys.executable, "-P", "-c", "from projector.cli import main; main()", "replay", "-", "--format", "json",
)  # fmt: skip

Positions = Callable[[], dict[Place, Position]]


class Deployment(NamedTuple):
    """What a repair works with: the auditor's connection, the log, and where the consumers are by now."""

    settings: Settings
    connection: Connection[Any]
    source: Source
    positions: Positions


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
        The run, with what was repaired and what was not; None where it is asked to stop first, and to be gone on with.

    Raises:
        WorkFailed: the projector could not replay, or the auditor not repair.

    """
    settings, connection, *_ = deployment
    read_to = Plan.of(run.options)
    for _ in range(ROUNDS_MAX):
        mended = 0
        for page in _pages(connection, run):
            if stop():
                return None
            meters = _meters(connection, page)
            _replay(settings, page)
            _rebuild(settings, meters | _meters(connection, page))
            mended += len(page)
        if not mended:
            break
        read_to = _read_on(deployment, run, read_to)
        _compare(deployment, run)
    return _counted(connection, run)


def _pages(connection: Connection[Any], run: Run) -> Iterable[Sequence[Wrong]]:
    after = 0
    while True:
        where = {"run_id": run.run_id, "names": Jsonb(NAMES), "after": after, "size": PAGE}
        page = [Wrong(*row) for row in connection.execute(SQL["to_mend"], where)]
        if not page:
            return
        yield page
        after = page[-1].suspect_id


def _meters(connection: Connection[Any], page: Sequence[Wrong]) -> set[int]:
    """Find the meters that rows name."""
    found: set[int] = set()
    for entity, asked in METERS.items():
        ids = [each.entity_id for each in page if each.entity == entity]
        found |= {meter for (meter,) in connection.execute(asked, {"ids": ids})} if ids else set()
    return found


def _replay(settings: Settings, page: Sequence[Wrong]) -> None:
    """Have the projector replay messages: by this interpreter, without a shell, and not from the current folder."""
    places = [
        {"topic": topic_of(each.entity, settings.topic_prefix), "partition": each.partition, "offset": each.offset}
        for each in page
    ]
    lines = "".join(json.dumps(place) + "\n" for place in places)
    done = subprocess.run(REPLAY, input=lines, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode and not done.stdout:  # with a report, some were left: the comparison that follows tells which
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise WorkFailed(f"the messages could not be replayed: {last}")


def _rebuild(settings: Settings, meters: set[int]) -> None:
    if not meters:
        return
    request = Request(
        command="rebuild", selection=Selection(meters=sorted(meters)), telling=Telling(), silent=True
    )  # fmt: skip
    code = execute(settings, request)
    if code and code != EXIT_PAUSED:  # a signal meant for us is seen by the next page
        raise WorkFailed("history is mended, but not every meter: `backfill rebuild` tells which")


def _read_on(deployment: Deployment, run: Run, read_to: Plan) -> Plan:
    """Read what was applied since the last look, for the rows that were suspected."""
    ends = {(each.topic, each.partition): each.end for each in read_to.ranges}
    connection, source = deployment.connection, deployment.source
    now = plan_of(deployment.positions(), source.logs(), deployment.settings.topic_prefix)
    for each in now.ranges:
        for start in range(max(each.low, ends.get((each.topic, each.partition), each.low)), each.end, BLOCK):
            with connection.transaction(), connection.cursor() as cursor:
                scan.note_winners(cursor, run, Part(each, start, min(each.end, start + BLOCK)), source)
    return now


def _compare(deployment: Deployment, run: Run) -> None:
    """Compare suspected rows once more, and say of those that are right that they are repaired."""
    connection, after = deployment.connection, BEFORE_ALL_KEYS
    while True:
        where = {"run_id": run.run_id, "after": after, "size": settle.SUSPECTS_MAX}
        (last,) = connection.execute(SQL["next_suspects"], where).fetchone() or (None,)
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
        run = runs.hold(cursor, run)
        tally = replace(run.tally, repaired=run.tally.log.rows_wrong - left, unrepaired=left)
        return runs.advance(cursor, replace(run, tally=tally))
