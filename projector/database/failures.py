"""PostgreSQL's errors as the errors of this project, each in one line."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from sqlalchemy.exc import DBAPIError

from events.runtime.errors import ServiceTemporarilyUnavailableError, ServiceUnavailableError, WorkFailedError
from events.runtime.settings import Settings
from projector.database.address import address
from projector.database.sqlstates import (
    CONNECTION_LOST,
    LOGIN_REFUSED,
    NOT_PERMITTED,
    is_of,
    passes,
    sqlstate_of,
)

PERMANENT_CONNECT_MESSAGES: Final[Mapping[str, str]] = {
    "no password supplied": "refuses the login",
    "authentication method requirement": "refuses the login",
    "channel binding": "cannot be reached securely",
    "does not support SSL": "cannot be reached securely",
    "certificate": "cannot be reached securely",
    "invalid ": "cannot be reached",
    "could not match": "cannot be reached",
}
"""Parts of what libpq itself says of a connection that it does not try or gives up, and what that means: no server sent
an SQLSTATE. Python sets no language for messages, so libpq's are English; what servers say, in whatever language, is
not looked at."""
SERVER_MESSAGE: Final = re.compile(r"failed: [^:]+:  (.+)$")
"""The server's own message in libpq's text, behind the address and the severity, which may be in any language."""


class ConnectionRefusedByServerError(psycopg.OperationalError):
    """A server answered a connection with an error instead of a session; the text is that server's message alone."""

    def __init__(self, error: psycopg.OperationalError, sqlstate: str) -> None:
        lines = str(error).splitlines()
        answers = [found[1] for line in lines if (found := SERVER_MESSAGE.search(line))]
        super().__init__(*(answers[-1:] or error.args))  # of several addresses the last one, whose code this is
        self.sqlstate = sqlstate


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
            raise ServiceUnavailableError(f"{where} {_in_vain(error)}: {why}") from None
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


def server_of(connection: psycopg.Connection[Any]) -> str:
    """Write where a connection leads, as host, port and database."""
    info = connection.info
    return f"{info.host or 'localhost'}:{info.port}/{info.dbname}"


def _is_transient(error: Any) -> bool:  # noqa: ANN401 - as above
    state = sqlstate_of(error)
    if state is not None:
        return passes(state)
    message = str(getattr(error, "orig", error))
    return _is_connection_failure(error) and not any(part in message for part in PERMANENT_CONNECT_MESSAGES)


def _in_vain(error: Any) -> str:  # noqa: ANN401 - as above
    if sqlstate_of(error) is None:
        message = str(getattr(error, "orig", error))
        return next((how for part, how in PERMANENT_CONNECT_MESSAGES.items() if part in message), "cannot be reached")
    return "refuses the login" if is_of(error, LOGIN_REFUSED) else "refuses the connection"


def _for_now(error: Any) -> str:  # noqa: ANN401 - as above
    lost = sqlstate_of(error) is None or is_of(error, CONNECTION_LOST)
    return "cannot be reached" if lost else "refuses for now"


def _is_connection_failure(error: Any) -> bool:  # noqa: ANN401 - as above
    cause = getattr(error, "orig", error)
    if sqlstate_of(error) is None:
        return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
    return isinstance(cause, ConnectionRefusedByServerError)
