"""One drift check at a time on a database: two would double the load and report everything twice.

A process that begins a check waits until nobody holds the check lock, then holds it together with the processes that
share its run. The lock belongs to sessions, so it ends with the processes, however they end. A rebuild does not take
it: an operator must be able to repair, and to compare with `rebuild --dry-run`, while a scheduled check runs. Nor does
`validate`, which compares once.
"""

from datetime import UTC, tzinfo
from typing import Any, Final

from psycopg import Connection
from psycopg.errors import LockNotAvailable

from backfill.runs import store
from backfill.runs.store import Run
from events.runtime.errors import StateError
from events.runtime.moments import written
from projector.database import locks
from projector.database.locks import Lock

CLAIM_MS: Final = 3000  # PostgreSQL releases the lock of a checker that was killed within moments
LOCK: Final = Lock("drift-check", of_schema=True)


class AnotherChecksError(StateError):
    """Another drift check is running on this database."""


def claim(connection: Connection[Any], run_id: str | None = None, zone: tzinfo = UTC) -> None:
    """Become the one checker, or share the run of that id if it is under way, for as long as the session lasts.

    Raises:
        AnotherChecksError: naming the run that is under way.

    """
    if run_id and _others_check_only(connection, run_id):
        LOCK.share(connection)
        if _others_check_only(connection, run_id):
            return
        LOCK.stop_sharing(connection)
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {CLAIM_MS}")
            LOCK.take(connection)
            LOCK.share(connection)  # before the release: no other check can begin in between
            LOCK.release(connection)
    except LockNotAvailable:
        raise AnotherChecksError(_describe_other(connection, zone)) from None


def _others_check_only(connection: Connection[Any], run_id: str) -> bool:
    """Tell whether other sessions hold the check lock, and all of them for this run."""
    return {str(run.run_id) for run in _checked_by_others(connection)} == {run_id.lower()}


def _checked_by_others(connection: Connection[Any]) -> list[Run]:
    """Read the runs of the other sessions that hold the check lock: each also holds the lock of its run."""
    checking = LOCK.holders(connection) - {connection.info.backend_pid}
    running = {str(run.run_id): run for run in store.running(connection, "drift-check")} if checking else {}
    holders = locks.holders(connection, running)
    return [running[run_id] for run_id, pids in holders.items() if pids & checking]


def _describe_other(connection: Connection[Any], zone: tzinfo) -> str:
    for run in _checked_by_others(connection):
        return (
            f"another drift check is running on this database: run {run.run_id}, since "
            f"{written(run.started_at, zone)}; `backfill rebuild --dry-run` compares beside it, "
            f"`backfill drift-check --resume {run.run_id}` shares its work"
        )
    return "another drift check is just starting or ending on this database"
