"""Why a consumer ended by itself, in the database, so that nobody has to find its log: `consumer_stops`.

A stop is recorded while the exception that ends the consumer passes. It is forgotten once a consumer that starts later
works: after it has applied its first events, or once it has nothing to read. Joining is not enough, because a batch
that PostgreSQL refuses is read and refused anew. A consumer that is killed or loses its machine records nothing.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal

import psycopg
from psycopg import Connection
from sqlalchemy import Engine

from events.runtime.console import printable
from events.runtime.errors import ProgramError, WorkFailedError
from events.runtime.settings import Settings
from projector.database.engines import transaction
from projector.database.statements import statements
from projector.errors import GroupRefusedError, PositionImpossibleError, TooManyRefusedError

SQL: Final = statements("projector.consume", "stop_reasons.sql")
Reason = Literal["position", "refusals", "batch", "group"]
REASONS: Final[dict[type[ProgramError], Reason]] = {
    PositionImpossibleError: "position",
    TooManyRefusedError: "refusals",
    WorkFailedError: "batch",
    GroupRefusedError: "group",
}
MESSAGE_CHARACTERS: Final = 2_000


@contextmanager
def recorded(settings: Settings, engine: Engine) -> Iterator[None]:
    """Record the reason if the block ends for one; without PostgreSQL, only the process's last line has it."""
    try:
        yield
    except tuple(REASONS) as error:
        with suppress(psycopg.Error):
            _record(settings, engine, error)
        raise


def forget(connection: Connection[Any], group_id: str) -> None:
    """Forget why consumers of the group stopped, now that one works.

    Raises:
        psycopg.Error: PostgreSQL is unavailable, or refuses.

    """
    with connection.transaction():
        connection.execute(SQL["forget_stops"], {"group_id": group_id})


def _record(settings: Settings, engine: Engine, error: ProgramError) -> None:
    reason = next(reason for kind, reason in REASONS.items() if isinstance(error, kind))
    stop = {
        "group_id": settings.group_id,
        "host": socket.gethostname(),
        "reason": reason,
        "message": printable(" ".join(str(error).split()))[:MESSAGE_CHARACTERS],
    }
    with transaction(engine) as connection:
        connection.execute(SQL["record_stop"], stop)
