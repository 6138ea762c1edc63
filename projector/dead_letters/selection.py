"""The dead letters that a command applies to, in chunks whose bytes fit into memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Connection

from events.runtime.errors import InputError
from projector.database.statements import statements

CHUNK_LETTERS: Final = 1_000  # in one transaction, so that no consumer waits long for a row of it
CHUNK_BYTES: Final = 8 << 20  # of raw messages, all of which are decoded at once
IDS_SHOWN: Final = 5  # unknown ids in an error

SQL: Final = statements("projector.dead_letters", "selection.sql")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Dead letters by id; or all open ones, or only those with a reason, or of a topic."""

    ids: Sequence[int] | None = None
    reason: str | None = None
    topic: str | None = None

    def closed(self, connection: Connection[Any]) -> dict[int, str]:
        """Return the states of those given by id that are not open.

        Raises:
            InputError: naming ids that do not exist.

        """
        if self.ids is None:
            return {}
        with connection.transaction(), connection.cursor() as cursor:
            states = dict(cursor.execute(SQL["read_states"], {"ids": list(self.ids)}).fetchall())
        if unknown := sorted(set(self.ids) - states.keys()):
            more = f" and {len(unknown) - IDS_SHOWN} more" if len(unknown) > IDS_SHOWN else ""
            raise InputError(
                f"there is no dead letter {', '.join(map(str, unknown[:IDS_SHOWN]))}{more}: nothing was changed; "
                "`projector dead-letters list --state all` shows which exist"
            )
        return {letter: state for letter, state in states.items() if state != "open"}

    def chunks(self, connection: Connection[Any]) -> Iterator[list[int]]:
        """Yield the ids of the open ones in key order; messages that are refused meanwhile are not included."""
        with connection.transaction(), connection.cursor() as cursor:
            [last] = cursor.execute(SQL["last_id"]).fetchone() or (0,)
        after = 0
        while page := self._page(connection, after, last):
            yield (ids := fitting(page))
            after = ids[-1]

    def _page(self, connection: Connection[Any], after: int, last: int) -> list[tuple[int, int]]:
        parameters = {
            "ids": None if self.ids is None else list(self.ids),
            "reason": self.reason,
            "topic": self.topic,
            "after": after,
            "last": last,
            "limit": CHUNK_LETTERS,
        }
        with connection.transaction(), connection.cursor() as cursor:
            return list(cursor.execute(SQL["page_open"], parameters).fetchall())


def fitting(page: Sequence[tuple[int, int]]) -> list[int]:
    """Return the first ids of a page of (id, bytes) whose bytes fit into a chunk; at least one."""
    ids: list[int] = []
    total = 0
    for letter, size in page:
        if ids and total + size > CHUNK_BYTES:
            break
        ids.append(letter)
        total += size
    return ids
