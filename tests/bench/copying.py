"""The yardstick: COPY of the bare history rows, prepared beforehand, into the same tables with all their indexes."""

import time
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

from projector.database.engines import make_engine
from projector.deployment import schema
from tests.bench.figures import Figure
from tests.bench.workload import Workload, say

HISTORY: Final = ("invoices", "payments", "meter_assignments", "customers")
SCHEMA: Final = "yardstick"
BLOCK_BYTES: Final = 1 << 20


def copy(workload: Workload) -> list[Figure]:
    """Take the rows that the projector has stored, with every column, and copy them into a fresh schema."""
    say("preparing the bare history rows")
    with workload.connected() as connection:
        rows = sum(_export(connection, table, workload.folder / f"{table}.copy") for table in HISTORY)
    engine = make_engine(workload.settings.model_copy(update={"schema_name": SCHEMA}), program="bench")
    schema.upgrade(engine, SCHEMA)
    engine.dispose()
    workload.settle()
    say(f"copying {rows:,} history rows")
    with workload.connected(SCHEMA) as connection:
        with workload.database_time() as database:
            begun = time.perf_counter()
            for table in HISTORY:
                _import(connection, table, workload.folder / f"{table}.copy")
            seconds = time.perf_counter() - begun
        connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE".encode())
    return [
        Figure(key="yardstick.rows_per_second", what="COPY of the bare rows", value=rows / seconds, unit="rows/s"),
        Figure(
            key="yardstick.database_cpu",
            what="PostgreSQL's processor time a row",
            value=1e6 * database.seconds / rows,
            unit="µs",
        ),
        Figure(key="yardstick.rows", what="rows, one an entity", value=rows, unit="rows"),
    ]


def _export(connection: Connection[Any], table: str, file: Path) -> int:
    with connection.cursor() as cursor, file.open("wb") as out:
        with cursor.copy(f"COPY {table} TO STDOUT".encode()) as rows:
            for block in rows:
                out.write(block)
        return cursor.rowcount


def _import(connection: Connection[Any], table: str, file: Path) -> None:
    statement = f"COPY {table} FROM STDIN".encode()
    with file.open("rb") as rows, connection.cursor() as cursor, cursor.copy(statement) as copy_in:
        while block := rows.read(BLOCK_BYTES):
            copy_in.write(block)
    file.unlink()
