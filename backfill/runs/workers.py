"""The processes that carry out a run: each holds a shared advisory lock for its session, under the run's id.

`backfill runs` counts them by that lock, and a process that leaves a run knows by it whether it was the last one and
has to pause the run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.errors import LockNotAvailable

from projector.database.locks import Lock

WAIT_MS: Final = 500
LAST_STEP_SEED: Final = 1  # so that a run's second lock has another key than its first


def join_run(connection: Connection[Any], run_id: UUID) -> None:
    """Count as one of a run's processes for as long as the session lasts."""
    Lock(str(run_id)).share(connection)


def count(connection: Connection[Any], run_id: UUID) -> int:
    """Count a run's processes."""
    return len(Lock(str(run_id)).holders(connection))


def claim_last_step(connection: Connection[Any], run_id: UUID) -> bool:
    """Become the one process that does a run's last step, for as long as the session lasts; wait half a second at most.

    Returns:
        Whether this process does it. False while another one does: ask again.

    """
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {WAIT_MS}")
            Lock(str(run_id), seed=LAST_STEP_SEED).take(connection)
    except LockNotAvailable:
        return False
    return True


@contextmanager
def leave(connection: Connection[Any], run_id: UUID) -> Iterator[bool]:
    """Leave a run; the value tells whether no process is left, and then none can join while the block lasts.

    Of two processes that leave at once, at least the one that asks last finds nobody: each releases its own share of
    the lock before it asks for the whole lock.
    """
    lock = Lock(str(run_id))
    lock.stop_sharing(connection)
    was_last = lock.try_to_take(connection)
    try:
        yield was_last
    finally:
        if was_last:
            lock.release(connection)
