"""Whether the runs that say that they run are carried out, and whether the checker of a schedule is at work or gone.

A process that carries out a run holds the lock of that name as long as its session lasts (`backfill.runs.workers`).
Between two rounds a checker has no session: then only the time tells that it is gone, once its promise is broken.
"""

from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg.rows import dict_row

from projector.database import locks
from projector.database.statements import statements

SQL: Final = statements("projector.status", "checker.sql")


class Checks(NamedTuple):
    """What is known of them, as plain values.

    Args:
        checker: the newest check of a schedule, with the number of its processes; None if none was ever promised.
        abandoned: runs that say that they run, and that no process carries out.

    """

    checker: dict[str, Any] | None
    abandoned: list[dict[str, Any]]


def read(connection: Connection[Any]) -> Checks:
    """Read both; each statement sees the newest state."""
    running = _rows(connection, "running")
    held = locks.holders(connection, [str(run["run_id"]) for run in running])
    left = {run["run_id"] for run in running if run["settled"] and str(run["run_id"]) not in held}
    abandoned = [run for run in _rows(connection, "running") if run["run_id"] in left and run["settled"]]
    for run in abandoned:
        del run["settled"]
    checker = next(iter(_rows(connection, "checker")), None)
    if checker:
        checker["processes"] = len(held.get(str(checker["run_id"]), ()))
    return Checks(checker, abandoned)


def _rows(connection: Connection[Any], name: str) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(SQL[name]).fetchall()
