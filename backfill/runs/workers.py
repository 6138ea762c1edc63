"""Who is at a run: each process that carries it out holds a shared advisory lock on it, which ends with its session.

That is how `backfill runs` knows whether anybody is at a run, and how the last to leave knows to pause it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.errors import LockNotAvailable

from projector.database.statements import statements

SQL: Final = statements("backfill.runs", "workers.sql")
WAIT_MS: Final = 500


def join_run(connection: Connection[Any], run_id: UUID) -> None:
    """Be counted among those who are at a run, for as long as the session lasts."""
    connection.execute(SQL["join_run"], {"run_id": str(run_id)})


def count(connection: Connection[Any], run_id: UUID) -> int:
    """Count the processes that are at a run."""
    (count,) = connection.execute(SQL["count_workers"], {"run_id": str(run_id)}).fetchone() or (0,)
    return int(count)


def claim_last_step(connection: Connection[Any], run_id: UUID) -> bool:
    """Be the only one who does what comes at a run's end, for as long as the session lasts; wait half a second at most.

    Returns:
        Whether we are: where another process still is at it, False, to be asked again.

    """
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {WAIT_MS}")
            connection.execute(SQL["claim_last_step"], {"run_id": str(run_id)})
    except LockNotAvailable:
        return False
    return True


@contextmanager
def leave(connection: Connection[Any], run_id: UUID) -> Iterator[bool]:
    """Take part no longer; the value tells whether nobody is left, and for as long as the block lasts nobody joins.

    Of two that leave at once the one that asks last finds nobody, because each lets go before it asks.
    """
    mine = {"run_id": str(run_id)}
    connection.execute(SQL["leave_run"], mine)
    (alone,) = connection.execute(SQL["close_if_empty"], mine).fetchone() or (False,)
    try:
        yield bool(alone)
    finally:
        if alone:
            connection.execute(SQL["reopen_run"], mine)
