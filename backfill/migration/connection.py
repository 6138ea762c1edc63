"""How every step's command begins: a connection, and a question before figures are overwritten."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
import typer
from psycopg import Connection
from sqlalchemy import Engine

from backfill.runs.session import ready, session
from events.runtime import logs
from events.runtime.console import Format
from events.runtime.errors import StateError
from events.runtime.settings import Settings, load
from projector.database.failures import describe_error


class Database(NamedTuple):
    """The auditor's connection, and the engine through which a governor and more workers connect."""

    settings: Settings
    engine: Engine
    connection: Connection[Any]


@contextmanager
def connected() -> Iterator[Database]:
    """Open the auditor's connection; what PostgreSQL refuses outside any chunk ends the command with one line.

    Raises:
        ServiceUnavailableError: PostgreSQL cannot be reached, or the connection was lost.
        StateError: the schema is not this program's, or PostgreSQL refused a statement.

    """
    settings = load()
    logs.configure(settings)
    with ready(settings) as engine, session(engine) as connection:
        try:
            yield Database(settings, engine, connection)
        except psycopg.Error as error:
            if connection.closed:
                raise
            raise StateError(f"PostgreSQL refused: {describe_error(error)}") from None


def confirm(question: str, command: str, form: Format) -> None:
    """Ask on a terminal.

    Raises:
        StateError: the answer is no, or there is no terminal.

    """
    if form is not Format.TABLE or not sys.stdin.isatty():
        raise StateError(f"no terminal to ask for confirmation: give --yes, or first run backfill {command} --dry-run")
    if not typer.confirm(question, err=True):
        raise StateError("nothing was changed")
