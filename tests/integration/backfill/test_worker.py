"""A worker: it does chunk after chunk, shows and learns from each, and knows when to wait, to leave and to give up."""

from typing import Any

import pytest
from psycopg import Connection, Cursor
from sqlalchemy import Engine

from backfill.execution import worker as execution
from backfill.runs import chunks
from backfill.runs import store as runs
from backfill.runs.session import session
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Tally
from backfill.throttle.pace import Pace
from events.runtime.errors import WorkFailedError
from tests.integration.backfill.chunks import claimed, counted, one_pass, rows
from tests.integration.backfill.conftest import Doing
from tests.integration.backfill.history import UNDO


class Kept(Pace):
    """A pace that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, int, bool]] = []

    def after(self, run: Run, delta: Tally, took: float) -> None:
        self.told.append((run.phase, delta.customers, 0 < took < 60))


@pytest.fixture
def undone(database: Connection[Any]) -> None:
    """Have four meters that differ, and a trigger that undoes what the repair does."""
    database.execute("UPDATE meter_balances SET total_billed = total_billed + 1 WHERE meter_id <= 4")
    database.execute(UNDO)


def test_a_worker_does_chunk_after_chunk_shows_each_and_learns_from_it(
    worker: Connection[Any], doing: Doing, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def next_end(_: Cursor[Any], run: Run, size: int) -> int | None:
        sizes.append(size)
        return 8 if run.cursor < 8 else None

    doing(one_pass(counted))
    monkeypatch.setattr(execution, "CHUNK_ENDS", {"customers": next_end, "meters": lambda *_: None})
    pace, watched = Kept(), list[Run]()
    begun = runs.begin(worker, "rebuild", {"dry_run": True, "chunk_size": 5})
    ended = execution.run_worker(worker, begun, stop=_never, pace=pace, watch=watched.append)
    assert (ended.phase, ended.tally.customers, sizes) == ("done", 8, [5, 5])
    assert [(run.phase, run.cursor) for run in watched] == [("customers", 8)]
    assert pace.told == [("customers", 8, True)]


def test_a_worker_stops_before_the_next_chunk(worker: Connection[Any], run: Run, doing: Doing) -> None:
    doing(one_pass(counted))
    assert execution.run_worker(worker, run, stop=lambda: True, pace=Kept(), watch=lambda _: None) == run
    assert rows(worker) == [("customers", BEFORE_ALL_KEYS, 8, "open", 0)]


def test_a_worker_leaves_a_run_that_was_cancelled(worker: Connection[Any], run: Run) -> None:
    runs.change_state(worker, run, "cancelled")
    watched: list[Run] = []
    left = execution.run_worker(worker, run, stop=_never, pace=Kept(), watch=watched.append)
    assert (left.state, watched) == ("cancelled", [])


def test_a_worker_that_finds_nothing_free_waits_for_the_others(
    worker: Connection[Any], run: Run, doing: Doing, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one's chunk is done while it waits; it then goes on by itself."""
    doing(one_pass(counted))
    monkeypatch.setattr(execution, "CHUNK_ENDS", {"customers": lambda *_: None, "meters": lambda *_: None})
    waited: list[str] = []
    with session(engine) as other, other.cursor() as holder:
        other.autocommit = False
        chunk = claimed(holder, run)

        def finish(connection: Connection[Any], waiting: Run) -> None:
            assert connection is worker
            waited.append(waiting.phase)
            chunks.finish_chunk(holder, run, chunk, "done", Tally(customers=100))
            other.commit()

        monkeypatch.setattr(chunks, "wait", finish)
        ended = execution.run_worker(worker, run, stop=_never, pace=Kept(), watch=lambda _: None)
    assert (ended.phase, ended.tally.customers, waited) == ("done", 100, ["customers"])


@pytest.mark.usefixtures("undone")
def test_a_repair_that_does_not_hold_ends_the_run(worker: Connection[Any]) -> None:
    run = runs.begin(worker, "rebuild", {"dry_run": False, "chunk_size": 100})
    said = r"^the repair does not hold: all 4 of a chunk still differ; something undoes it$"
    with pytest.raises(WorkFailedError, match=said):
        execution.run_worker(worker, run, stop=_never, pace=Kept(), watch=lambda _: None)


@pytest.mark.usefixtures("undone")
def test_a_repair_that_does_not_hold_is_told_where_a_failure_explains_it(worker: Connection[Any]) -> None:
    run = runs.begin(worker, "rebuild", {"dry_run": False, "chunk_size": 100})
    run = chunks.ensure_chunk(worker, run, 100, execution.CHUNK_ENDS)
    with worker.transaction(), worker.cursor() as cursor:
        chunks.split(cursor, run, claimed(cursor, run), 0)
        chunks.finish_chunk(cursor, run, claimed(cursor, run), "done", Tally(failed=1))
    ended = execution.run_worker(worker, run, stop=_never, pace=Kept(), watch=lambda _: None)
    assert (ended.phase, ended.tally.failed, ended.tally.unrepaired) == ("done", 1, 4)


def _never() -> bool:
    return False
