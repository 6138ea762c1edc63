"""The table `drift`: what a run found, whether it was repaired, and the largest of it."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from psycopg import Connection, Cursor
from psycopg.types.json import Jsonb

from backfill.runs.in_effect import PARTS
from backfill.runs.store import Run
from projector.database.statements import statements

HISTORY_EDITED: Final = (
    "history-changed", "history-moved", "history-added", "history-deleted", "assignment-edited",
)  # fmt: skip
"""Causes that say that history is not what the stream sent: a rebuild would take the edit as right."""
SQL: Final = statements("backfill.runs", "drift.sql", **PARTS)


def stage(cursor: Cursor[Any], findings: Iterable[tuple[Any, ...]]) -> int:
    """Write some of a chunk's findings to the scratch table `found`, evidence last; return how many."""
    count = 0
    with cursor.copy("COPY found FROM STDIN") as copy:
        for *columns, evidence in findings:
            copy.write_row((*columns, Jsonb(evidence)))
            count += 1
    return count


def keep(cursor: Cursor[Any], run: Run) -> None:
    """Store the staged findings, with the consumers' positions at which they hold."""
    (positions,) = cursor.execute(SQL["positions"]).fetchone() or (None,)
    values = {"run_id": run.run_id, "round": run.round, "positions": Jsonb(positions)}
    cursor.execute(SQL["keep_findings"], values)


def mark_repaired(cursor: Cursor[Any], run: Run, entity: str, ids: Sequence[int]) -> None:
    """Record that a run's findings on these were repaired, in the transaction that found them equal or made them so."""
    cursor.execute(SQL["mark_repaired"], {"run_id": run.run_id, "entity": entity, "ids": list(ids)})


def findings(connection: Connection[Any], run: Run, limit: int | None) -> list[tuple[Any, ...]]:
    """Read a run's findings, those that moved most money first; without a limit all."""
    return connection.execute(SQL["findings"], {"run_id": run.run_id, "limit": limit}).fetchall()


def amounts_off(connection: Connection[Any], run: Run) -> tuple[Decimal, Decimal, bool]:
    """Add up, without signs, by how much the balances and overpayments differ: of meters, and of customers.

    The third value tells whether a finding's cause is an edit of history.
    """
    parameters = {"run_id": run.run_id, "of_history": list(HISTORY_EDITED)}
    meters, customers, edited = connection.execute(SQL["amounts_off"], parameters).fetchone() or (0, 0, False)
    return Decimal(meters), Decimal(customers), bool(edited)


def each_finding(connection: Connection[Any], run: Run) -> Iterator[tuple[Any, ...]]:
    """Read all findings of a run in the same order through a server-side cursor, so that memory holds only a page."""
    return _streamed(connection, "findings", {"run_id": run.run_id, "limit": None})


def significant_changes(
    connection: Connection[Any], run: Run, threshold: Decimal, limit: int
) -> tuple[list[tuple[Any, ...]], int]:
    """Read the customers whose balance or overpayment changed most, beyond a threshold; and count all of them."""
    where = {"run_id": run.run_id, "threshold": threshold, "limit": limit}
    (count,) = connection.execute(SQL["count_significant_changes"], where).fetchone() or (0,)
    return connection.execute(SQL["significant_changes"], where).fetchall(), int(count)


def each_significant_change(connection: Connection[Any], run: Run, threshold: Decimal) -> Iterator[tuple[Any, ...]]:
    """Read all of them in the same order through a server-side cursor."""
    return _streamed(connection, "significant_changes", {"run_id": run.run_id, "threshold": threshold, "limit": None})


def _streamed(connection: Connection[Any], name: str, where: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    with connection.transaction(), connection.cursor(name=name) as cursor:
        yield from cursor.execute(SQL[name], where)
