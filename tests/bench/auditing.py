"""The drift check of everything, and the same recomputation and comparison as one plain SQL statement.

Both run several times in turn on the same database, and the medians are compared: what else the machine does then
falls on both. The plain statement has the server's own settings, parallel workers and all.
"""

import json
import time
from functools import cache
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from events.runtime.errors import WorkFailedError
from tests.bench.figures import Figure, megabytes
from tests.bench.plan import Measurement
from tests.bench.programs import run
from tests.bench.workload import Workload, say

ROUNDS: Final = 3
COUNT_ROWS: Final = """
    SELECT (SELECT count(*) FROM invoices) + (SELECT count(*) FROM payments) + (SELECT count(*) FROM meter_assignments)
"""
RUN_SECONDS: Final = "SELECT extract(epoch FROM finished_at - started_at) FROM backfill_runs WHERE run_id = %s"


class Checked(NamedTuple):
    """One drift check."""

    seconds: float  # by the run's own record, first chunk to last
    wall_seconds: float
    customers: int
    peak_bytes: int
    cpu_seconds: float
    database_seconds: float


class Stated(NamedTuple):
    """One run of the plain statement."""

    seconds: float
    database_seconds: float


def audit(workload: Workload) -> list[Figure]:
    """Check in turn by the program and by the statement, after the vacuum that autovacuum would have run by then."""
    with workload.connected() as connection:
        say("VACUUM (ANALYZE), as autovacuum would after such a load")
        connection.execute("VACUUM (ANALYZE)")
        (rows,) = connection.execute(COUNT_ROWS).fetchone() or (0,)
    workload.settle()
    checks: list[Checked] = []
    statements: list[Stated] = []
    for number in range(1, ROUNDS + 1):
        if Measurement.DRIFT_CHECK in workload.plan.only:
            say(f"drift check, {number} of {ROUNDS}")
            checks.append(_check(workload))
        if Measurement.PLAIN in workload.plan.only:
            say(f"the same as one plain statement, {number} of {ROUNDS}")
            statements.append(recompute(workload))
    return [*(_checked(checks, rows) if checks else ()), *(_stated(statements, rows) if statements else ())]


def recompute(workload: Workload) -> Stated:
    """Run the plain statement.

    Raises:
        WorkFailedError: where it finds a difference.

    """
    with workload.connected() as connection, workload.database_time() as database:
        begun = time.perf_counter()
        meters, customers = connection.execute(_plain()).fetchone() or (0, 0)
        seconds = time.perf_counter() - begun
    if meters or customers:
        raise WorkFailedError(f"the plain statement finds {meters} meters and {customers} customers that differ")
    return Stated(seconds, database.seconds)


@cache
def _plain() -> bytes:
    return (Path(__file__).parent / "recompute.sql").read_bytes()


def _check(workload: Workload) -> Checked:
    arguments = ("backfill", "drift-check", "--format", "json")
    with workload.database_time() as database:
        ended = run(workload.folder, "drift-check", *arguments, environment=workload.environment).expect(0)
    report = json.loads(ended.stdout.read_text())
    with workload.connected() as connection:
        (seconds,) = connection.execute(RUN_SECONDS, [report["run_id"]]).fetchone() or (0,)
    return Checked(
        float(seconds), ended.wall_seconds, report["customers"], ended.peak_bytes, ended.cpu_seconds, database.seconds
    )


def _checked(checks: list[Checked], rows: int) -> list[Figure]:
    seconds = median(check.seconds for check in checks)
    wall_seconds = median(check.wall_seconds for check in checks)
    peak = megabytes(max(check.peak_bytes for check in checks))
    cpu = median(check.cpu_seconds for check in checks)
    database = median(check.database_seconds for check in checks)
    customers = checks[0].customers
    return [
        Figure(
            key="drift-check.customers_per_second",
            what="first chunk to last",
            value=customers / seconds,
            unit="customers/s",
        ),
        Figure(key="drift-check.rows_per_second", what="history rows", value=rows / seconds, unit="rows/s"),
        Figure(key="drift-check.seconds", what="first chunk to last", value=seconds, unit="s"),
        Figure(key="drift-check.wall_seconds", what="the process, start to end", value=wall_seconds, unit="s"),
        Figure(key="drift-check.process_cpu", what="the process's processor time", value=cpu, unit="s"),
        Figure(key="drift-check.database_cpu", what="PostgreSQL's processor time", value=database, unit="s"),
        Figure(key="drift-check.peak_memory", what="peak memory", value=peak, unit="MB"),
    ]


def _stated(statements: list[Stated], rows: int) -> list[Figure]:
    seconds = median(one.seconds for one in statements)
    database = median(one.database_seconds for one in statements)
    return [
        Figure(key="plain.rows_per_second", what="history rows, one statement", value=rows / seconds, unit="rows/s"),
        Figure(key="plain.seconds", what="the statement", value=seconds, unit="s"),
        Figure(key="plain.database_cpu", what="PostgreSQL's processor time", value=database, unit="s"),
    ]
