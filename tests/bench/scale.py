"""A check and a rebuild of a large history finish, at which rate, and in the memory that a tenth of it takes."""

import json
from typing import Any, Final

from psycopg import Connection

from projector.database.statements import statements
from tests.bench.figures import Figure, megabytes
from tests.bench.programs import Ended, run
from tests.bench.workload import Workload, say

SQL: Final = statements("tests", "bench/scale.sql")
LOADED: Final = ("customers", "assignments", "invoices", "payments", "meter_balances", "customer_balances")
TENTH: Final = 10
WORKERS: Final = "2"


def measure(workload: Workload) -> list[Figure]:
    """Load both histories, check both, and rebuild the large one after some damage."""
    customers = workload.plan.scale
    small = _check(workload, loaded(workload, "tenth", customers // TENTH))
    schema = loaded(workload, "whole", customers)
    large = _check(workload, schema)
    with workload.connected(schema) as connection:
        connection.execute(SQL["damage"], {})
    rebuilt = _program(workload, schema, "rebuild", 0)
    _check(workload, schema)
    report = _report(large)
    return [
        Figure(
            key="scale.customers_per_second",
            what="drift check, process start to end",
            value=report["customers"] / large.wall_seconds,
            unit="customers/s",
        ),
        Figure(
            key="scale.rows_per_second",
            what="history rows",
            value=report["history_rows"] / large.wall_seconds,
            unit="rows/s",
        ),
        Figure(key="scale.check_seconds", what="drift check", value=large.wall_seconds, unit="s"),
        Figure(key="scale.rebuild_seconds", what="rebuild", value=rebuilt.wall_seconds, unit="s"),
        Figure(
            key="scale.tenth_peak_memory", what="peak memory, a tenth", value=megabytes(small.peak_bytes), unit="MB"
        ),
        Figure(key="scale.peak_memory", what="peak memory", value=megabytes(large.peak_bytes), unit="MB"),
        Figure(key="scale.rebuild_peak_memory", what="of the rebuild", value=megabytes(rebuilt.peak_bytes), unit="MB"),
    ]


def loaded(workload: Workload, schema: str, customers: int) -> str:
    """Fill a schema of its own; its indexes are made afterwards, which takes a fraction of the time."""
    say(f"loading {customers:,} customers with {20 * customers:,} invoices and payments by SQL")
    environment = workload.environment | {"PROJECTOR_SCHEMA": schema}
    run(workload.folder, f"init-{schema}", "projector", "init", environment=environment).expect(0)
    with workload.connected(schema) as connection:
        connection.execute("SET maintenance_work_mem = '256MB'; SET work_mem = '128MB'; SET synchronous_commit = off")
        definitions = _dropped_indexes(connection)
        for name in LOADED:
            connection.execute(SQL[name], {"customers": customers})
        for definition in definitions:
            connection.execute(definition)
        connection.execute("VACUUM (ANALYZE)")
    workload.settle()
    return schema


def _dropped_indexes(connection: Connection[Any]) -> list[str]:
    found = connection.execute(SQL["secondary_indexes"], {}).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}".encode())
    return [definition for _, definition in found]


def _check(workload: Workload, schema: str) -> Ended:
    return _program(workload, schema, "drift-check", 0)


def _program(workload: Workload, schema: str, program: str, *exit_codes: int) -> Ended:
    say(f"{program} of {schema} the history, with {WORKERS} workers")
    arguments = ("backfill", program, "--workers", WORKERS, "--format", "json")
    environment = workload.environment | {"PROJECTOR_SCHEMA": schema}
    return run(workload.folder, f"{program}-{schema}", *arguments, environment=environment).expect(*exit_codes)


def _report(ended: Ended) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(ended.stdout.read_text())
    return report
