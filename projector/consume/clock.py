"""Moves the clock of assignments forward, so that a move entered on Monday for Friday takes effect on Friday.

The clock (`assignment_clock.through`) is stored, and `meter_assignments.active` says what is in effect as of it. So the
projection and its audit are functions of history and clock, and both read the same clock: neither asks what time it is.
It moves only here, when an assignment is due, which is when its begin or its end lies after the clock and not after
PostgreSQL's time:

    1 look     without locks: how long until the next begin or end
    2 move     if one is due, lock the clock exclusively and set it to PostgreSQL's time
    3 change   `active` of the assignments that are due
    4 settle   their meters and customers, by the statements that a batch uses

Steps 2 to 4 are one transaction: a consumer that is killed leaves the clock where it was, or has moved it whole. What
PostgreSQL refuses, such as a customer's sum that is too large, is halved until the assignments at fault are alone.
These stay as they are, with a log line, and a drift check finds them: no event stops the clock. (A batch that brought
such an assignment after its date would make a dead letter of it.)

The clock is locked between payments and assignments in the order that `projector.consume.merge` states, and this
transaction locks nothing before it, so it closes no circle. Only after a refusal it locks meters behind customers, and
may be the victim of a deadlock and be repeated. Whoever writes assignments holds the clock shared until it commits:

- A batch that got the clock first has committed when the move gets it, and step 3, a later statement, sees its rows.
- A batch that comes after waits, and then merges its assignments at the new clock.
- Of two consumers that find the same assignment due, the second waits for the first, and then either finds the clock
  past its own time and does nothing, or moves it on from there, over dates that the first did not change.

A batch may hold rows of invoices and payments while it waits for the clock. The move needs none of these. A batch
without assignments does not wait: it meets the move at a meter's row, from which both read the customer.

The clock never moves backwards, so a begin or an end takes effect once. While no consumer runs it stands still: what is
in effect stays so, and an auditor agrees. An event whose date lies between the clock and now is applied at the clock,
and then due at once.
"""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection, Cursor

from projector.consume import merge
from projector.database.bisect import bisect, halve_keys
from projector.database.failures import describe_error
from projector.database.statements import statements

SQL: Final = statements("projector.consume", "clock.sql")
LOOK_SECONDS: Final = 5.0  # at the latest, another look: another consumer or somebody may have entered a date meanwhile

_log = structlog.get_logger()


def advance(connection: Connection[Any]) -> float:
    """Move the clock if an assignment is due, on a prepared connection.

    Returns:
        After how many seconds to look again, at most `LOOK_SECONDS`.

    Raises:
        psycopg.Error: PostgreSQL refused; nothing was changed.

    """
    if (seconds := _seconds_to_next_change(connection)) <= 0:
        _move(connection)
        seconds = _seconds_to_next_change(connection)
    return min(max(seconds, 0.0), LOOK_SECONDS)


def _seconds_to_next_change(connection: Connection[Any]) -> float:
    (seconds,) = connection.execute(SQL["seconds_to_next_change"]).fetchone() or (None,)
    return LOOK_SECONDS if seconds is None else float(seconds)


def _move(connection: Connection[Any]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        moved = cursor.execute(SQL["move_clock"]).fetchone()
        if moved is None:
            return
        old, new = moved
        due: Sequence[int] = [key for (key,) in cursor.execute(SQL["due"], {"old": old, "new": new})]
        changed = sum(bisect(due, lambda ids: _change(cursor, ids), halve=halve_keys, refuse=_leave)) if due else 0
    if changed:  # else another consumer changed them, or they were amended meanwhile
        _log.info("assignments took effect", changed=changed, through=new.isoformat())


def _change(cursor: Cursor[Any], ids: Sequence[int]) -> int:
    """Change and settle some of the assignments that are due, in a savepoint; return how many."""
    with cursor.connection.transaction():
        changed = cursor.execute(SQL["change"], {"ids": list(ids)}).rowcount
        merge.apply_changes(cursor)
        merge.clear_changes(cursor)
    return changed


def _leave(ids: Sequence[int], error: psycopg.Error) -> int:
    detail = describe_error(error, detail=True)
    _log.error("assignment refused by PostgreSQL, and left as it was", assignment_id=ids[0], detail=detail)
    return 0
