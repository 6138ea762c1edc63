"""Carries out a run with one worker or several, until it is done or a stop is requested.

The workers of one process are threads, each with a connection of its own: most of their time they wait for PostgreSQL,
which does the work. Workers of other processes, on this machine or another, join the run by `--resume`. All workers are
equal, and the first that finds no chunk left ends the run.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Event
from typing import Any

from psycopg import Connection

from backfill.execution.worker import run_worker
from backfill.runs import chunks, workers
from backfill.runs import store as runs
from backfill.runs.store import Run
from backfill.throttle.pace import Pace
from events.runtime.errors import StateError

Stop = Callable[[], bool]
"""Tells whether a stop is requested."""
Session = Callable[[], AbstractContextManager[Connection[Any]]]
"""Opens the connection of one more worker."""


def run_pool(  # noqa: PLR0913 - each with a default that does nothing
    connection: Connection[Any],
    run: Run,
    *,
    stop: Stop,
    watch: Callable[[Run], None] = lambda _: None,
    pace: Callable[[Stop], Pace] = lambda stop: Pace((), stop),
    others: Sequence[Session] = (),
) -> Run:
    """Process chunks with one worker here and one for each further session; return the run as it is afterwards."""
    with _extra_workers(run, others, stop, pace) as halted:
        run = run_worker(connection, run, stop=halted, pace=pace(halted), watch=watch)
    return _ended(connection, run)


@contextmanager
def _extra_workers(run: Run, others: Sequence[Session], stop: Stop, pace: Callable[[Stop], Pace]) -> Iterator[Stop]:
    """Run the further workers while the block lasts; when a worker fails, all stop after their current chunk."""
    failed = Event()

    def halted() -> bool:
        return failed.is_set() or stop()

    def run_extra_worker(session: Session) -> None:
        with _stop_all_on_error(failed), session() as connection:
            run_worker(connection, run, stop=halted, pace=pace(halted), watch=lambda _: None)

    with ThreadPoolExecutor(max(1, len(others)), thread_name_prefix="worker") as threads:
        helpers = [threads.submit(run_extra_worker, session) for session in others]
        with _stop_all_on_error(failed):
            yield halted
        for helper in helpers:
            helper.result()


@contextmanager
def _stop_all_on_error(failed: Event) -> Iterator[None]:
    try:
        yield
    except BaseException:
        failed.set()
        raise


def _ended(connection: Connection[Any], run: Run) -> Run:
    """Finish a run that is done; pause one that is not, unless other processes go on with it."""
    run = chunks.collect_finished(connection, run)
    with workers.leave(connection, run.run_id) as alone, suppress(StateError):  # another process ended it first
        if run.phase == "done" or alone:
            return runs.change_state(connection, run, "finished" if run.phase == "done" else "paused")
    return runs.find(connection, str(run.run_id))
