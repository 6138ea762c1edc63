"""Which dead letters a command is about, walked in chunks whose bytes fit into memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Connection

from events.runtime.errors import InputError
from projector.database.statements import statements

CHUNK_LETTERS: Final = 1_000  # one transaction; small enough that no consumer waits long for a row of it
CHUNK_BYTES: Final = 8 << 20  # of raw messages, which are decoded all at once
IDS_NAMED: Final = 5  # unknown ids in one line

STATEMENTS: Final = statements("projector.dead_letters", "dead_letters.sql")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Dead letters by id, or all that are open with a reason, on a topic, where those are given."""

    ids: Sequence[int] | None = None
    reason: str | None = None
    topic: str | None = None

    def closed(self, connection: Connection[Any]) -> dict[int, str]:
        """Return the state of those named by id that are not open.

        Raises:
            InputError: naming ids that there are none of.

        """
        if self.ids is None:
            return {}
        with connection.transaction(), connection.cursor() as cursor:
            states = dict(cursor.execute(STATEMENTS["read_states"], {"ids": list(self.ids)}).fetchall())
        if unknown := sorted(set(self.ids) - states.keys()):
            more = f" and {len(unknown) - IDS_NAMED} more" if len(unknown) > IDS_NAMED else ""
            raise InputError(
                f"there is no dead letter {', '.join(map(str, unknown[:IDS_NAMED]))}{more}: nothing was changed; "
                "`projector dead-letters list --state all` shows which there are"
            )
        return {letter: state for letter, state in states.items() if state != "open"}

    def chunks(self, connection: Connection[Any]) -> Iterator[list[int]]:
        """Walk the open ones in key order, as lists of ids; what is refused after the first is left out."""
        with connection.transaction(), connection.cursor() as cursor:
            [last] = cursor.execute(STATEMENTS["last_id"]).fetchone() or (0,)
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
            return list(cursor.execute(STATEMENTS["page_open"], parameters).fetchall())


def fitting(page: Sequence[tuple[int, int]]) -> list[int]:
    """Take ids off a page of (id, bytes) until their bytes fill a chunk; at least one."""
    ids: list[int] = []
    held = 0
    for letter, size in page:
        if ids and held + size > CHUNK_BYTES:
            break
        ids.append(letter)
        held += size
    return ids
