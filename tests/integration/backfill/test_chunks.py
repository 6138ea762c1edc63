"""The ledger of chunks by itself, over keys that nobody has: what is cut, claimed, split, settled and folded."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from psycopg import Connection, Cursor
from sqlalchemy import Engine

from backfill.runs import chunks
from backfill.runs import store as runs
from backfill.runs.chunks import Chunk, ChunkEnd
from backfill.runs.phases import REBUILD, Phase
from backfill.runs.session import session
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Tally
from events.contract.limits import BIGINT_MAX
from tests.integration.backfill.chunks import claimed, rows


class Keys:
    """Cuts of phases that have these last keys; remembers what it was asked, as (phase, behind which key, how many)."""

    def __init__(self, **lasts: Sequence[int]) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self.chunk_ends: dict[Phase, ChunkEnd] = {
            phase: self._next_end(lasts.get(phase.replace("-", "_"), ())) for phase in REBUILD
        }

    def _next_end(self, lasts: Sequence[int]) -> ChunkEnd:
        def next_end(_: Cursor[Any], run: Run, size: int) -> int | None:
            self.asked.append((run.phase, run.cursor, size))
            return next((last for last in lasts if last > run.cursor), None)

        return next_end


@pytest.fixture
def other(engine: Engine) -> Iterator[Connection[Any]]:
    with session(engine) as connection:
        yield connection


@pytest.fixture
def run(worker: Connection[Any]) -> Run:
    """One that repairs nothing, and so has one round."""
    return runs.begin(worker, "rebuild", {"dry_run": True})


@pytest.fixture
def repairing(worker: Connection[Any]) -> Run:
    return runs.begin(worker, "rebuild", {"dry_run": False})


def test_chunks_lie_one_behind_the_other_through_every_phase_of_two_rounds(
    worker: Connection[Any], repairing: Run
) -> None:
    run = repairing
    keys = Keys(customers=[10, 25], meters=[7], repair_meters=[3], repair_customers=[1])
    done = []
    run = chunks.ensure_chunk(worker, run, 40, keys.chunk_ends)
    while run.phase != "done":
        assert _stand(runs.find(worker, str(run.run_id))) == _stand(run)
        done.append(_do(worker, run))
        run = chunks.ensure_chunk(worker, run, 40, keys.chunk_ends)
    first = BEFORE_ALL_KEYS
    assert (
        done
        == [
            ("customers", first, 10),
            ("customers", 10, 25),
            ("meters", first, 7),
            ("repair-meters", first, 3),
            ("repair-customers", first, 1),
        ]
        * 2
    )
    assert keys.asked[:4] == [
        ("customers", first, 40),
        ("customers", 10, 40),
        ("customers", 25, 40),
        ("meters", first, 40),
    ]
    assert _stand(run) == _stand(runs.find(worker, str(run.run_id))) == ("done", first, 10)
    assert run.round == 2
    assert rows(worker) == []
    assert _stand(chunks.ensure_chunk(worker, run, 40, {})) == _stand(run)


def test_a_phase_that_was_cut_to_the_last_key_there_can_be_is_not_asked_again(
    worker: Connection[Any], repairing: Run
) -> None:
    keys = Keys(customers=[BIGINT_MAX])
    for _ in range(2):
        repairing = chunks.ensure_chunk(worker, repairing, 1, keys.chunk_ends)
        _do(worker, repairing)
    assert chunks.ensure_chunk(worker, repairing, 1, keys.chunk_ends).phase == "done"
    assert [phase for phase, *_ in keys.asked] == ["customers", "meters", "repair-meters", "repair-customers"] * 2


def test_nothing_is_cut_while_a_chunk_waits_for_somebody(worker: Connection[Any], run: Run) -> None:
    keys = Keys(customers=[10, 25])
    once = chunks.ensure_chunk(worker, run, 1, keys.chunk_ends)
    assert _stand(chunks.ensure_chunk(worker, once, 1, keys.chunk_ends)) == _stand(once)
    with worker.transaction(), worker.cursor() as cursor:
        chunks.finish_chunk(cursor, once, claimed(cursor, once), "repaired", Tally())
    assert _stand(chunks.ensure_chunk(worker, once, 1, keys.chunk_ends)) == _stand(once), "a repaired one waits as well"
    assert rows(worker) == [("customers", BEFORE_ALL_KEYS, 10, "repaired", 0)]


def test_beside_a_chunk_that_is_held_another_is_cut_and_the_phase_lasts_until_it_is_done(
    worker: Connection[Any], other: Connection[Any], run: Run
) -> None:
    keys = Keys(customers=[10, 25])
    run = chunks.ensure_chunk(other, run, 1, keys.chunk_ends)
    with other.transaction(), other.cursor() as holder:
        held = claimed(holder, run)
        run = chunks.ensure_chunk(worker, run, 1, keys.chunk_ends)
        assert _stand(run) == ("customers", 25, 0)
        assert _do(worker, run) == ("customers", 10, 25)
        run = chunks.ensure_chunk(worker, run, 1, keys.chunk_ends)
        assert _stand(run) == ("customers", 25, 1)
        with worker.transaction(), worker.cursor() as cursor:
            assert chunks.claim(cursor, run, "open") is None
        chunks.finish_chunk(holder, run, held, "done", Tally(customers=5))
    run = chunks.ensure_chunk(worker, run, 1, keys.chunk_ends)
    assert _stand(run) == ("done", BEFORE_ALL_KEYS, 6)


def test_waiting_for_another_s_chunk_has_an_end_and_leaves_nothing_behind(
    worker: Connection[Any], other: Connection[Any], run: Run
) -> None:
    def timeout() -> object:
        return worker.execute("SHOW lock_timeout").fetchone()

    run = chunks.ensure_chunk(worker, run, 1, Keys(customers=[10]).chunk_ends)
    before = timeout()
    with other.transaction(), other.cursor() as holder:
        claimed(holder, run)
        chunks.wait(worker, run)
        assert worker.info.transaction_status.name == "IDLE"
    chunks.wait(worker, run)
    assert timeout() == before
    assert rows(worker) == [("customers", BEFORE_ALL_KEYS, 10, "open", 0)]


def test_chunks_are_claimed_by_their_state_in_key_order_with_what_they_have_counted(
    worker: Connection[Any], other: Connection[Any], run: Run
) -> None:
    run = chunks.ensure_chunk(worker, run, 1, Keys(customers=[10]).chunk_ends)
    with worker.transaction(), worker.cursor() as cursor:
        chunks.split(cursor, run, claimed(cursor, run), 4)
    with worker.transaction(), worker.cursor() as cursor:
        first = claimed(cursor, run)
        assert first == Chunk(phase="customers", state="open", after=BEFORE_ALL_KEYS, last=4, tally=Tally())
        chunks.finish_chunk(cursor, run, first, "repaired", Tally(repaired=2))
    with worker.transaction(), worker.cursor() as cursor, other.transaction(), other.cursor() as beside:
        again = chunks.claim(cursor, run, "repaired")
        assert again == Chunk(
            phase="customers", state="repaired", after=BEFORE_ALL_KEYS, last=4, tally=Tally(repaired=2)
        )
        assert chunks.claim(beside, run, "repaired") is None
        assert claimed(beside, run).after == 4
        chunks.finish_chunk(cursor, run, again, "done", Tally(unrepaired=1))
    with worker.transaction(), worker.cursor() as cursor:
        chunks.finish_chunk(cursor, run, claimed(cursor, run), "done", Tally(repaired=3))
    run = chunks.ensure_chunk(worker, run, 1, Keys().chunk_ends)
    assert (run.tally.repaired, run.tally.unrepaired) == (5, 1)


def test_a_chunk_that_is_split_leaves_two_that_cover_the_same_keys(worker: Connection[Any], run: Run) -> None:
    run = chunks.ensure_chunk(worker, run, 1, Keys(customers=[10]).chunk_ends)
    with worker.transaction(), worker.cursor() as cursor:
        chunks.split(cursor, run, claimed(cursor, run), 4)
    assert rows(worker) == [("customers", BEFORE_ALL_KEYS, 4, "open", 0), ("customers", 4, 10, "open", 0)]


def test_of_a_run_that_is_no_longer_running_nothing_is_cut_and_what_is_done_counts_once_somebody_folds_it(
    worker: Connection[Any], run: Run
) -> None:
    keys = Keys(customers=[10, 25])
    run = chunks.ensure_chunk(worker, run, 1, keys.chunk_ends)
    _do(worker, run)
    cancelled = runs.change_state(worker, run, "cancelled")
    seen = chunks.ensure_chunk(worker, run, 1, keys.chunk_ends)
    assert (seen.state, *_stand(seen)) == ("cancelled", "customers", 10, 0)
    assert rows(worker) == [("customers", BEFORE_ALL_KEYS, 10, "done", 1)]
    assert chunks.read_with_progress(worker, str(run.run_id)).tally.customers == 1
    assert rows(worker) == [("customers", BEFORE_ALL_KEYS, 10, "done", 1)], "who looks changes nothing"
    folded = chunks.collect_finished(worker, run)
    assert (folded.state, folded.tally.customers) == ("cancelled", 1)
    assert runs.find(worker, str(run.run_id)).tally == folded.tally
    assert folded.tally.seconds == cancelled.tally.seconds, "nobody was at it"
    assert rows(worker) == []


def test_what_is_folded_adds_up_to_what_was_there(worker: Connection[Any], run: Run) -> None:
    keys = Keys(customers=[10, 25, 30])
    for customers in (2, 3):
        run = chunks.ensure_chunk(worker, run, 1, keys.chunk_ends)
        _do(worker, run, customers=customers)
        seconds = runs.find(worker, str(run.run_id)).tally.seconds
        folded = chunks.collect_finished(worker, run).tally
        assert (folded.customers, folded.seconds) == (sum(range(2, customers + 1)), seconds)
        assert runs.find(worker, str(run.run_id)).tally == folded


def test_runs_share_a_ledger_and_none_of_its_chunks(worker: Connection[Any], run: Run) -> None:
    others = runs.begin(worker, "rebuild", {"dry_run": False})
    keys = Keys(customers=[10])
    for each in (run, others):
        chunks.ensure_chunk(worker, each, 1, keys.chunk_ends)
    _do(worker, run, customers=7)
    assert chunks.collect_finished(worker, others).tally.customers == 0
    assert chunks.ensure_chunk(worker, run, 1, keys.chunk_ends).phase == "done"
    assert chunks.ensure_chunk(worker, others, 1, keys.chunk_ends).phase == "customers"


def _stand(run: Run) -> tuple[str, int, int]:
    return run.phase, run.cursor, run.tally.customers


def _do(connection: Connection[Any], run: Run, customers: int = 1) -> tuple[str, int, int]:
    """Do an open chunk in which so many customers are counted."""
    with connection.transaction(), connection.cursor() as cursor:
        chunk = claimed(cursor, run)
        chunks.finish_chunk(cursor, run, chunk, "done", Tally(customers=customers))
    return chunk.phase, chunk.after, chunk.last
