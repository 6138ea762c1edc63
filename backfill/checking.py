"""Only one drift check at a time works on a database: two would take twice the load and say everything twice.

The lock belongs to the session of the run, so that it ends with the process whatever ends that. A rebuild does not
take it, for an operator has to be able to repair, and to compare with `rebuild --dry-run`, beside a check that is
always on.
"""

from typing import Any

from psycopg import Connection
from psycopg.errors import LockNotAvailable

from backfill.runs import CLAIM_MS, SQL
from events.errors import StateError


class AnotherChecksError(StateError):
    """Another drift check is at work on this database."""


def claim(connection: Connection[Any]) -> None:
    """Be the one checker, for as long as the session lasts; one that was just killed lets go within moments.

    Raises:
        AnotherChecksError: naming the run that is under way.

    """
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {CLAIM_MS}")
            connection.execute(SQL["claim_checking"])
    except LockNotAvailable:
        raise AnotherChecksError(_who(connection)) from None


def _who(connection: Connection[Any]) -> str:
    row = connection.execute(SQL["who_checks"]).fetchone()
    if row is None:
        return "another drift check is just beginning or ending on this database"
    run_id, started_at = row
    return (
        f"another drift check is at work on this database: run {run_id}, since {started_at:%Y-%m-%d %H:%M:%S} UTC; "
        "`backfill rebuild --dry-run` compares beside it"
    )
