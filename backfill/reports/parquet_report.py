"""A run's findings as Parquet, one row each; money as decimals, evidence and positions as JSON."""

import json
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import Connection

from backfill.reports.json_report import FINDINGS
from backfill.runs import drift
from backfill.runs.store import Run

ROWS: Final = 10_000  # in one row group, and in memory
DIFFERENCE: Final = pa.decimal128(38, 2)  # totals have 18 digits; their sums and differences fit easily
TYPES: Final[dict[str, pa.DataType]] = {
    "entity_id": pa.int64(),
    "difference": DIFFERENCE,
    "found_at": pa.timestamp("us", tz="UTC"),
    "repaired_at": pa.timestamp("us", tz="UTC"),
}
SCHEMA: Final = pa.schema(
    [("run_id", pa.string()), *((name, TYPES.get(name, pa.string())) for name in FINDINGS)],
)


def write(connection: Connection[Any], run: Run, path: Path) -> None:
    """Write every finding to a file."""
    with pq.ParquetWriter(path, SCHEMA) as writer:
        findings = drift.each_finding(connection, run)
        while rows := list(islice(findings, ROWS)):
            columns = zip(*[(str(run.run_id), *map(_value, row)) for row in rows], strict=True)
            arrays = [pa.array(column, type=kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))


def _value(value: Any) -> Any:  # noqa: ANN401 - of its column's type
    """Write structures as JSON. NaN, in runs before it was kept out of the tables, becomes null: decimals have none."""
    if isinstance(value, dict | list):
        return json.dumps(value, default=str, ensure_ascii=False)
    return None if isinstance(value, Decimal) and not value.is_finite() else value
