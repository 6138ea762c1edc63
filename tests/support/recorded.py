"""What the database says, as the oracle's kind of rows, and how that differs from what events amount to."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from tests.support.oracle import COLUMNS, Rows, State, differences, expected


def disagreement(events: Iterable[Mapping[str, Any] | str | bytes], connection: Connection) -> str:
    """Say how the database differs from what these events amount to at its clock; an empty text where it does not."""
    recorded = read_projection(connection)
    return differences(expected(events, recorded.clock), recorded)


def read_projection(connection: Connection) -> State:
    """Read what the database says, in one snapshot, as the same kind of rows."""
    connection.rollback()
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    tables = {name: _read(connection, name, columns) for name, columns in COLUMNS.items()}
    clock = connection.execute(text("SELECT through FROM assignment_clock")).scalar_one()
    connection.rollback()
    return State(**tables, clock=clock)


def _read(connection: Connection, table: str, columns: str) -> Rows:
    rows = connection.execute(text(f"SELECT {columns} FROM {table}")).mappings()  # the first column is the key
    return {next(iter(row.values())): {name: _stored(value) for name, value in row.items()} for row in rows}


def _stored(value: Any) -> Any:  # noqa: ANN401 - as above
    return value.astimezone(UTC) if isinstance(value, datetime) else value
