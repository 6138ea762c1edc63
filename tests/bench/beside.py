"""What a drift check that never ends costs a live projector: the same steady stream, without it and with it.

The check is the program as it is installed, its governor on, begun again each time it ends.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from psycopg import Connection

from events.runtime.errors import WorkFailedError
from projector.sandbox.processes import last_line, wait_until
from tests.bench.figures import Figure
from tests.bench.latency import projecting, rank, stream
from tests.bench.programs import command, records
from tests.bench.workload import Workload, say

START_SECONDS: Final = 300  # of a busy machine, as all bounds here: nothing waits for them to pass
STOP_SECONDS: Final = 300


def measure(workload: Workload) -> list[Figure]:
    """Send the plan's busy rate twice beside a running projector, the second time with the check."""
    without, with_check = workload.plan.busy
    with projecting(workload):
        alone = stream(workload, without)
        with _checking(workload):
            beside = stream(workload, with_check)
    ended = records(workload.folder / "beside.log", "run ended")
    checks = [record for record in ended if record["state"] == "finished"]
    say(f"{len(checks)} checks were finished meanwhile")
    return [
        Figure(key="beside.alone_p99", what="p99 without a check", value=rank(alone.waits, 0.99), unit="ms"),
        Figure(key="beside.p99", what="p99 with a check beside", value=rank(beside.waits, 0.99), unit="ms"),
        Figure(
            key="beside.alone_events_per_second",
            what="applied without a check",
            value=alone.applied_per_second,
            unit="events/s",
        ),
        Figure(
            key="beside.events_per_second",
            what="applied with a check beside",
            value=beside.applied_per_second,
            unit="events/s",
        ),
    ]


@contextmanager
def _checking(workload: Workload) -> Iterator[None]:
    """Check again and again, as a service does, from the first check's beginning until the block ends."""
    with (workload.folder / "beside.log").open("wb") as log, workload.connected() as connection:
        before = _begun(connection)
        process = subprocess.Popen(
            command("backfill", "drift-check", "--every", "1s"), env=workload.environment, cwd=workload.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip
        try:
            wait_until(lambda: process.poll() is not None or _begun(connection) > before, seconds=START_SECONDS)
            if process.poll() is not None or _begun(connection) == before:
                raise WorkFailedError(f"the drift check has not begun: {last_line(workload.folder / 'beside.log')}")
            yield
            process.terminate()
            if process.wait(STOP_SECONDS):
                raise WorkFailedError(f"the drift check ended with {process.returncode}")
        finally:
            process.kill()
            process.wait()


def _begun(connection: Connection[Any]) -> int:
    """Count the drift checks that were ever begun."""
    row = connection.execute("SELECT count(*) FROM backfill_runs WHERE command = 'drift-check'").fetchone()
    return int(row[0]) if row else 0
