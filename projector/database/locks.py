"""Advisory locks of sessions, by name: PostgreSQL releases them with the session, however that ends.

The auditor takes them; `projector status` reads who holds them.
"""

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from psycopg import Connection

from projector.database.statements import statements

SQL: Final = statements("projector.database", "locks.sql")


class Lock(NamedTuple):
    """One lock; `of_schema` where each schema of a database has its own."""

    name: str
    of_schema: bool = False
    seed: int = 0

    @property
    def _values(self) -> dict[str, Any]:
        return {"names": [self.name], "of_schema": self.of_schema, "seed": self.seed}

    def take(self, connection: Connection[Any]) -> None:
        """Wait until nobody holds it, then hold it alone."""
        connection.execute(SQL["lock"], self._values)

    def take_until_commit(self, connection: Connection[Any]) -> None:
        """Do the same up to the end of the transaction."""
        connection.execute(SQL["lock_until_commit"], self._values)

    def try_to_take(self, connection: Connection[Any]) -> bool:
        """Hold it alone if nobody holds it now; return whether that is so."""
        (taken,) = connection.execute(SQL["try_lock"], self._values).fetchone() or (False,)
        return bool(taken)

    def release(self, connection: Connection[Any]) -> None:
        """Hold it alone no longer."""
        connection.execute(SQL["unlock"], self._values)

    def share(self, connection: Connection[Any]) -> None:
        """Wait until nobody holds it alone, then hold it together with others."""
        connection.execute(SQL["share"], self._values)

    def stop_sharing(self, connection: Connection[Any]) -> None:
        """Hold it together with others no longer."""
        connection.execute(SQL["stop_sharing"], self._values)

    def holders(self, connection: Connection[Any]) -> set[int]:
        """Read which sessions hold it, as process ids of the server."""
        return {pid for _, pid in connection.execute(SQL["holders"], self._values)}


def holders(connection: Connection[Any], names: Collection[str]) -> dict[str, set[int]]:
    """Read which sessions hold each of these locks, that belong to no schema; what nobody holds is left out."""
    found: dict[str, set[int]] = {}
    for name, pid in connection.execute(SQL["holders"], {"names": [*names], "of_schema": False, "seed": 0}):
        found.setdefault(name, set()).add(pid)
    return found
