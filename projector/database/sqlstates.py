"""PostgreSQL's error codes by what they mean for a program (PostgreSQL manual, Appendix A).

An SQLSTATE has five characters; the first two are its class.
"""

from collections.abc import Mapping
from typing import Any, Final

import psycopg

CONNECTION_LOST: Final = {"08", "57P01", "57P02", "57P03", "57P05"}
"""Class and codes: connection exceptions, and an operator's interventions that end a session."""
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
    "57": (True, "an operator intervenes: a shutdown, a start, a recovery, a statement that is cancelled"),
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
TRIES_MAX: Final[Mapping[str, int]] = {"53200": 5, "57014": 5}
"""Codes that pass, unless a piece of work causes them by its size or by what is run for it, and how often the same work
is tried as a whole: too little memory; a statement that is cancelled, by hand or by a time limit. Whatever else passes
is tried without limit: no work causes a lock of another session, a full disk or a server that starts."""
OF_THE_SERVER: Final[Mapping[str, str]] = {
    "0A": "a feature is not supported",
    "0B": "a transaction cannot begin",
    "0L": "a grantor is not valid",
    "0P": "a role is not valid",
    "24": "a cursor is in the wrong state",
    "25": "the transaction is in the wrong state",
    "26": "a prepared statement does not exist",
    "28": "a login is refused",
    "2B": "privileges depend on each other",
    "2D": "the transaction ends in the wrong way",
    "34": "a cursor does not exist",
    "3B": "a savepoint does not exist",
    "3D": "a database does not exist",
    "3F": "a schema does not exist",
    "42": "a statement is wrong, or the role may not run it: a table or column is missing, a privilege is not granted",
    "53": "a limit that somebody configured was exceeded",
    "57": "the database was dropped",
    "58": "the operating system failed",
    "F0": "a configuration file is wrong",
    "HV": "a foreign table failed",
    "XX": "the server failed, or data on its disk is damaged",
}
"""Classes that do not pass and say nothing of the values: the same statement fails for any row, unless a trigger or a
constraint's function raises them for some. All other classes lie in the values: a value that does not fit its type
(22), a constraint (23), a limit such as the size of an index entry (54), and whatever a trigger raises of itself (P0,
09, 27, 38, 39, 44, or a class that the manual does not have)."""
CONFLICTS: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
"""What two transactions that lock the same rows may end in; the whole transaction is repeated."""


def sqlstate_of(error: Any) -> str | None:  # noqa: ANN401 - psycopg's error, or SQLAlchemy's wrapper of one
    """Return the code of an error; None where the server sent none, as when connecting failed."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def is_of(error: Any, codes: set[str]) -> bool:  # noqa: ANN401 - as above
    """Tell whether an error has one of these codes, or a code of one of these classes."""
    state = sqlstate_of(error) or ""
    return state in codes or state[:2] in codes


def passes(state: str) -> bool:
    """Tell whether what a code stands for passes without anybody's doing."""
    answer, _ = PASSES.get(state) or PASSES.get(state[:2]) or (False, "")
    return answer


def lies_in_values(error: Any) -> bool:  # noqa: ANN401 - as above
    """Tell whether an error says that a row's values are at fault: the statement may succeed for other rows."""
    state = sqlstate_of(error)
    return state is not None and not passes(state) and state[:2] not in {"08", *OF_THE_SERVER}
