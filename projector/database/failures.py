"""PostgreSQL's errors as the errors of this project, each in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from events.runtime.errors import ServiceTemporarilyUnavailableError, ServiceUnavailableError, WorkFailedError
from events.runtime.settings import Settings, required
from projector.database.sqlstates import (
    CONNECTION_LOST,
    LOGIN_REFUSED,
    NOT_PERMITTED,
    TRANSACTION_TIMEOUT,
    TRANSIENT,
    is_of,
    sqlstate_of,
)

PERMANENT_CONNECT_MESSAGES: Final = ("FATAL:", "does not support SSL", "certificate", "no password supplied")
"""Parts of a message that a server which answered sends when connecting fails; libpq gives no SQLSTATE for those."""
TRANSIENT_CONNECT_MESSAGES: Final = (
    "the database system is",
    "too many clients",
    "remaining connection slots",
    "terminating connection",
)
"""Parts of such messages that pass without anybody's doing: starting, stopping, recovering, full."""


@contextmanager
def translate_database_errors(settings: Settings) -> Iterator[None]:
    """Turn an error that lies in no statement into one line that names the server and hides the password.

    Raises:
        ServiceTemporarilyUnavailableError: PostgreSQL does not answer, or refuses for a reason that passes by itself.
        ServiceUnavailableError: it refuses the login, or the role lacks a privilege.

    """
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        where, why = f"PostgreSQL at {address(settings)}", describe_error(error)
        if _is_transient(error):
            raise ServiceTemporarilyUnavailableError(f"{where} {_for_now(error)}: {why}") from None
        if _is_connection_failure(error):
            raise ServiceUnavailableError(f"{where} cannot be reached: {why}") from None
        if sqlstate_of(error) in NOT_PERMITTED:
            raise ServiceUnavailableError(f"{where} refuses: {why}") from None
        raise


@contextmanager
def translate_refusals() -> Iterator[None]:
    """Turn a statement that PostgreSQL refused into one line; a lost connection stays psycopg's error.

    Raises:
        WorkFailedError: with PostgreSQL's message.
        psycopg.Error: the connection was lost.

    """
    try:
        yield
    except psycopg.Error as error:
        if sqlstate_of(error) is None or is_of(error, CONNECTION_LOST):
            raise
        why = describe_error(error, detail=True)
        raise WorkFailedError(f"PostgreSQL refused: {why}; what was committed before stays") from error


def describe_error(error: Any, *, detail: bool = False) -> str:  # noqa: ANN401 - psycopg's error, or SQLAlchemy's wrapper
    """Write PostgreSQL's message in one line, with its SQLSTATE and without the statement.

    Args:
        error: what was raised.
        detail: add PostgreSQL's detail, which may quote values of the row.

    """
    cause = getattr(error, "orig", error)
    diagnostics = getattr(cause, "diag", None)
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    message = getattr(diagnostics, "message_primary", None) or lines[0]
    code = f" ({state})" if (state := sqlstate_of(cause)) else ""
    more = getattr(diagnostics, "message_detail", None) if detail else None
    return f"{message}{code}{f': {more}' if more else ''}"


def address(settings: Settings) -> str:
    """Write the server's address without its password."""
    url = make_url(required(settings, "database_url"))
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def _is_transient(error: Any) -> bool:  # noqa: ANN401 - as above
    state = sqlstate_of(error)
    if state is not None:
        return state[:2] in TRANSIENT or state in TRANSACTION_TIMEOUT
    message = str(getattr(error, "orig", error))
    permanent = any(part in message for part in PERMANENT_CONNECT_MESSAGES)
    transient = any(part in message for part in TRANSIENT_CONNECT_MESSAGES)
    return _is_connection_failure(error) and (transient or not permanent)


def _for_now(error: Any) -> str:  # noqa: ANN401 - as above
    lost = sqlstate_of(error) is None or is_of(error, CONNECTION_LOST)
    return "cannot be reached" if lost else "refuses for now"


def _is_connection_failure(error: Any) -> bool:  # noqa: ANN401 - as above
    if sqlstate_of(error) is None:
        return isinstance(getattr(error, "orig", error), psycopg.OperationalError | psycopg.InterfaceError)
    return is_of(error, LOGIN_REFUSED)
