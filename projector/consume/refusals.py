"""Decides whether an error of PostgreSQL lies in an event, which becomes a dead letter, or in no event at all.

- An error that says that values are at fault lies in the event that fails alone: a CHECK, and a trigger that raises
  for a closed period, are the same rule to the one who wrote them.
- Any other error that does not pass, such as a missing privilege, lies in the event only if another event of the same
  topic can be applied alone: an error that goes away without an event lies in it. Events of other topics say nothing,
  because they need other tables.
- An error that passes is waited for. If it may be due to the batch, as a statement that is cancelled each time may be,
  the batch is tried a few times, then its halves; what is left alone is judged as any other error.
"""

from collections import Counter
from math import inf
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection

from events.contract.types import Refusal
from events.runtime.errors import WorkFailedError
from projector.consume import merge
from projector.consume.batch import Batch, Item, stage
from projector.database.failures import describe_error
from projector.database.sqlstates import (
    CONNECTION_LOST,
    NOT_PERMITTED,
    TRIES_MAX,
    is_of,
    lies_in_values,
    passes,
    sqlstate_of,
)

REASON: Final = "refused-by-database"

_log = structlog.get_logger()


class Refusals:
    """What PostgreSQL refused of one batch, over all attempts to apply it."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._failures = Counter[str]()

    def may_lie_in_an_event(self, error: psycopg.Error) -> bool:
        """Tell whether an error, or one so often repeated, may go away if the batch is applied in parts."""
        state = sqlstate_of(error)
        if state is None or is_of(error, CONNECTION_LOST):
            return False
        self._failures[state] += 1
        return not passes(state) or self._failures[state] >= TRIES_MAX.get(state, inf)

    def refuse(self, connection: Connection[Any], part: Batch, error: psycopg.Error) -> Batch:
        """Make a dead letter of the one event of a part.

        Raises:
            WorkFailedError: the error lies in no event, and waiting does not help.
            psycopg.Error: a privilege is missing, or the connection was lost.

        """
        detail = describe_error(error, detail=True)
        place = " ".join(f"{message.topic}/{message.partition}@{message.offset}" for message, *_ in part.items)
        if not lies_in_values(error) and not any(self._another_is_applied(connection, item) for item in part.items):
            if is_of(error, NOT_PERMITTED):
                raise error
            raise WorkFailedError(f"PostgreSQL refused the batch at {place or 'its end'}: {detail}") from error
        _log.warning("event refused by PostgreSQL", place=place, detail=detail)
        return part.refused(Refusal(REASON, detail))

    def _another_is_applied(self, connection: Connection[Any], suspect: Item) -> bool:
        others = (item for item in self._batch.items if item.message.topic == suspect.message.topic)
        return any(_is_applied(connection, item) for item in others if item.refusal is None and item.key != suspect.key)


def _is_applied(connection: Connection[Any], item: Item) -> bool:
    """Apply an event alone, and take it back."""
    try:
        with connection.transaction(force_rollback=True), connection.cursor() as cursor:
            merge.apply_staged(cursor, stage([item]))
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        if sqlstate_of(error) is None:
            raise
        return False
    return True
