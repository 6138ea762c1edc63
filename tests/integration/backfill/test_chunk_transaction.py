"""One turn of a worker: what becomes of a chunk that is done, refused, broken off, or lost with its connection."""

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg import Connection, Cursor
from sqlalchemy import Engine
from structlog.testing import capture_logs

from backfill.execution.worker import ChunkResult, process_chunk
from backfill.runs import chunks
from backfill.runs.session import session
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Failure, Tally
from tests.integration.backfill.chunks import claimed, one_pass, rows
from tests.integration.backfill.conftest import Doing


@pytest.mark.parametrize(
    ("unrepaired", "keys", "repaired_nothing"),
    [(0, 0, False), (0, 2, False), (1, 2, False), (2, 2, True), (3, 2, True)],
)
def test_a_repair_that_changed_nothing_is_recognised(*, unrepaired: int, keys: int, repaired_nothing: bool) -> None:
    done = ChunkResult(Tally(unrepaired=unrepaired), keys)
    assert done.repaired_nothing("repair-meters") is repaired_nothing
    assert not done.repaired_nothing("repair-customers"), (
        "a damaged meter may have moved in, which the next round repairs"
    )


def test_a_turn_settles_the_chunk_with_what_was_counted(worker: Connection[Any], run: Run, doing: Doing) -> None:
    seen: list[tuple[Run, Sequence[int]]] = []

    def count(cursor: Cursor[Any], run: Run, keys: Sequence[int]) -> Tally:
        assert cursor.connection is worker
        seen.append((run, keys))
        return Tally(customers=len(keys))

    doing(one_pass(count))
    assert process_chunk(worker, run) == ChunkResult(Tally(customers=8), 8)
    assert seen == [(run, [1, 2, 3, 4, 5, 6, 7, 8])]
    assert rows(worker) == [("customers", BEFORE_ALL_KEYS, 8, "done", 8)]
    assert process_chunk(worker, run) is None


def test_what_is_half_done_is_taken_first_and_left_as_its_pass_says(
    worker: Connection[Any], run: Run, doing: Doing
) -> None:
    done: list[str] = []

    def half(*_: object) -> Tally:
        done.append("half")
        return Tally(repaired=8)

    def rest(*_: object) -> Tally:
        done.append("rest")
        return Tally(unrepaired=1)

    doing(one_pass(rest, "repaired", "done"), one_pass(half, "open", "repaired"))
    assert process_chunk(worker, run) == ChunkResult(Tally(repaired=8), 8)
    assert rows(worker)[0][3] == "repaired"
    assert process_chunk(worker, run) == ChunkResult(Tally(unrepaired=1), 8)
    assert done == ["half", "rest"]
    assert chunks.collect_finished(worker, run).tally.repaired == 8


def test_a_conflict_between_transactions_is_tried_again_whole(worker: Connection[Any], run: Run, doing: Doing) -> None:
    tried: list[object] = []

    def conflict(cursor: Cursor[Any], _: Run, keys: Sequence[int]) -> Tally:
        tried.append(cursor)
        if len(tried) < 3:
            cursor.execute("DO $$ BEGIN RAISE 'again' USING errcode = 'serialization_failure'; END $$")
        return Tally(customers=len(keys))

    doing(one_pass(conflict))
    assert process_chunk(worker, run) == ChunkResult(Tally(customers=8), 8)
    assert len(tried) == 3


@pytest.mark.parametrize("errcode", ["numeric_value_out_of_range", "check_violation"])
def test_a_value_at_fault_is_looked_for_by_halves(
    worker: Connection[Any], run: Run, doing: Doing, capsys: pytest.CaptureFixture[str], errcode: str
) -> None:
    def refuse(cursor: Cursor[Any], _: Run, keys: Sequence[int]) -> Tally:
        cursor.execute("CREATE TEMPORARY TABLE half_done ON COMMIT DROP AS SELECT 1")
        if 3 in keys:
            cursor.execute(f"DO $$ BEGIN RAISE 'not three' USING errcode = '{errcode}'; END $$")
        return Tally(customers=len(keys))

    doing(one_pass(refuse))
    assert process_chunk(worker, run) == ChunkResult(Tally(), 0)
    assert rows(worker) == [("customers", BEFORE_ALL_KEYS, 4, "open", 0), ("customers", 4, 8, "open", 0)]
    turns = []
    while (done := process_chunk(worker, run)) is not None:
        turns.append(done)
    assert [done.keys for done in turns] == [0, 2, 0, 1, 1, 4]
    assert sum(done.delta.failed for done in turns) == 1
    tally = chunks.collect_finished(worker, run).tally
    assert (tally.customers, tally.failed) == (7, 1)
    assert (tally.failures[0].phase, tally.failures[0].first, tally.failures[0].last) == ("customers", 3, 3)
    assert tally.failures[0].reason.startswith("not three (2")
    said = "".join(capsys.readouterr())
    assert said.count("chunk failed") == 1
    assert "not three" in said


def test_another_refusal_fails_the_chunk_at_once(worker: Connection[Any], run: Run, doing: Doing) -> None:
    def refuse(cursor: Cursor[Any], _: Run, keys: Sequence[int]) -> Tally:
        cursor.execute("RESET nothing")
        return Tally(customers=len(keys))

    doing(one_pass(refuse))
    with capture_logs() as logged:
        done = process_chunk(worker, run)
    why = 'unrecognized configuration parameter "nothing" (42704)'
    failure = Failure(phase="customers", first=1, last=8, reason=why)
    assert done == ChunkResult(Tally(failed=1, failures=(failure,)), 8)
    assert logged == [{"event": "chunk failed", "log_level": "error", **vars(failure)}]
    assert rows(worker) == [("customers", BEFORE_ALL_KEYS, 8, "done", 0)]
    assert chunks.collect_finished(worker, run).tally.failures == (failure,)


def test_a_chunk_without_keys_that_is_refused_is_told_by_its_range(
    worker: Connection[Any], run: Run, doing: Doing
) -> None:
    def refuse(cursor: Cursor[Any], *_: object) -> Tally:
        cursor.execute("SELECT 1 / 0")
        return Tally()

    doing(one_pass(refuse)._replace(keys=lambda *_: []))
    done = process_chunk(worker, run)
    assert done
    assert (done.keys, done.delta.failures[0].first, done.delta.failures[0].last) == (0, BEFORE_ALL_KEYS, 8)


def test_a_refusal_of_what_is_half_done_is_not_halved(worker: Connection[Any], run: Run, doing: Doing) -> None:
    def refuse(cursor: Cursor[Any], *_: object) -> Tally:
        cursor.execute("SELECT 1 / 0")
        return Tally()

    with worker.transaction(), worker.cursor() as cursor:
        chunks.finish_chunk(cursor, run, claimed(cursor, run), "repaired", Tally(repaired=8))
    doing(one_pass(refuse, "repaired", "done"))
    done = process_chunk(worker, run)
    assert done
    assert (done.keys, done.delta.failed) == (8, 1)
    assert rows(worker) == [("customers", BEFORE_ALL_KEYS, 8, "done", 0)]
    assert chunks.collect_finished(worker, run).tally.repaired == 8


def test_a_lost_connection_is_no_refusal_and_leaves_the_chunk_open(
    worker: Connection[Any], run: Run, doing: Doing, engine: Engine
) -> None:
    def lose(cursor: Cursor[Any], *_: object) -> Tally:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return Tally()

    doing(one_pass(lose))
    with pytest.raises(psycopg.OperationalError):
        process_chunk(worker, run)
    with session(engine) as connection:
        assert rows(connection) == [("customers", BEFORE_ALL_KEYS, 8, "open", 0)]
