"""Only one drift check at a time works on a database: two would take twice the load and say everything twice.

Whoever begins one waits until nobody holds the lock, then holds it together with those who share its run. The lock
belongs to sessions, so that it ends with the processes whatever ends those. A rebuild does not take it, for an
operator has to be able to repair, and to compare with `rebuild --dry-run`, beside a check that is always on; nor does
`validate`, which compares once.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.errors import LockNotAvailable

from backfill.runs.store import SQL
from events.runtime.errors import StateError

CLAIM_MS: Final = 3000  # a checker that was just killed lets go within moments


class AnotherChecksError(StateError):
    """Another drift check is at work on this database."""


def claim(connection: Connection[Any], run_id: str | None = None) -> None:
    """Be the one checker, or share the run of that id if it is under way, for as long as the session lasts.

    A checker that was just killed lets go within moments.

    Raises:
        AnotherChecksError: naming the run that is under way.

    """
    if run_id and _others(connection, run_id) == {True}:
        connection.execute(SQL["join_check"])
        if _others(connection, run_id) == {True}:
            return
        connection.execute(SQL["leave_check"])
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {CLAIM_MS}")
            connection.execute(SQL["lock_check"])
            connection.execute(SQL["share_check"])
    except LockNotAvailable:
        raise AnotherChecksError(_who(connection)) from None


def _others(connection: Connection[Any], run_id: str) -> set[bool]:
    """Tell of each run that is being checked whether it is this one."""
    return {str(other) == run_id.lower() for other, _ in _checked(connection)}


def _checked(connection: Connection[Any]) -> list[tuple[UUID, datetime]]:
    return connection.execute(SQL["running_checks"]).fetchall()


def _who(connection: Connection[Any]) -> str:
    for run_id, started_at in _checked(connection):
        return (
            f"another drift check is at work on this database: run {run_id}, since {started_at:%Y-%m-%d %H:%M:%S} UTC; "
            f"`backfill rebuild --dry-run` compares beside it, `backfill drift-check --resume {run_id}` shares its work"
        )
    return "another drift check is just beginning or ending on this database"
