"""PostgreSQL's error codes by what they mean for a program (PostgreSQL manual, Appendix A).

An SQLSTATE has five characters; the first two are its class.
"""

from typing import Any, Final

import psycopg

CONNECTION_LOST: Final = {"08", "57"}
"""Classes: connection exceptions, and an operator's intervention such as a shutdown."""
TRANSIENT: Final = {*CONNECTION_LOST, "40", "53", "55"}
"""Classes that pass without anybody's doing: also deadlocks, resources such as a full disk, locks that are taken."""
TRANSACTION_TIMEOUT: Final = {"25P03", "25P04"}
"""Codes: the server ended a transaction that was idle, or lasted, too long; this process was paused."""
LOGIN_REFUSED: Final = {"28", "3D"}
"""Classes: authentication failed; the database does not exist."""
NOT_PERMITTED: Final = {"42501", "25006"}
"""Codes: the role lacks a privilege; the server is a standby, or the role may only read."""
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
