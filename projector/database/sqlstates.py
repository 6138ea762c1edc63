"""PostgreSQL's error codes by what they mean for a program (PostgreSQL manual, Appendix A).

An SQLSTATE has five characters; the first two are its class.
"""

from collections.abc import Mapping
from typing import Any, Final

import psycopg

CONNECTION_LOST: Final = {"08", "57"}
"""Classes: connection exceptions, and an operator's intervention such as a shutdown."""
LOGIN_REFUSED: Final = {"28"}
"""Class: a wrong password, a role that does not exist or may not log in, no matching line in pg_hba.conf."""
PASSES: Final[Mapping[str, tuple[bool, str]]] = {
    "08": (True, "the connection was lost or could not be made"),
    "08P01": (False, "the protocol was violated: a pooler refuses something, or this is no PostgreSQL"),
    "25006": (True, "the server accepts no writes: a standby, or a primary in the seconds after a failover"),
    "25P03": (True, "the server ended a transaction that was idle too long: this process was paused"),
    "25P04": (True, "the server ended a transaction that lasted too long: this process was paused"),
    "40": (True, "a deadlock or a conflict rolled the transaction back"),
    "53": (True, "a resource ran out: connections of the server or of the role, memory, disk space"),
    "53400": (False, "a limit that somebody configured was exceeded"),
    "55": (True, "an object or a lock is in use"),
    "57": (True, "an operator intervenes: a shutdown, a start, a recovery"),
    "57P04": (False, "the database was dropped"),
}
"""Classes and codes with whether they pass without anybody's doing, and why; a code counts for more than its class.
What is not listed does not pass: the same statement would fail in the same way."""
NOT_PERMITTED: Final = {"42501"}
"""Codes: the role lacks a privilege."""
UNSUPPORTED_AT_STARTUP: Final = "08P01"
"""Code: with this a pooler refuses a parameter of the start-up that it does not know."""
INVALID_SETTING: Final = {"22", "42"}
"""Classes of a setting that PostgreSQL does not accept."""
VALUE_REFUSED: Final = {"22", "23"}
"""Classes: a value that does not fit its type; a constraint that a row violates."""
CONFLICTS: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
"""What two transactions that lock the same rows may end in; the whole transaction is repeated."""


def sqlstate_of(error: Any) -> str | None:  # noqa: ANN401 - psycopg's error, or SQLAlchemy's wrapper of one
    """Return the code of an error; None where the server sent none, as when connecting failed."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def is_of(error: Any, classes: set[str]) -> bool:  # noqa: ANN401 - as above
    """Tell whether an error has a code of these classes."""
    return (sqlstate_of(error) or "")[:2] in classes


def passes(state: str) -> bool:
    """Tell whether what a code stands for passes without anybody's doing."""
    answer, _ = PASSES.get(state) or PASSES.get(state[:2]) or (False, "")
    return answer
