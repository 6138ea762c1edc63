"""A full disk fails what is written, for either kind of disk, and nothing is left of that once there is room again."""

from typing import Final

import psycopg
import pytest

from projector.sandbox.processes import wait_until
from tests.faults.disk import Limited
from tests.faults.fault_run import FaultRun

FILL: Final = "CREATE TABLE IF NOT EXISTS filler AS SELECT repeat('x', 900) FROM generate_series(1, 5000)"


@pytest.mark.parametrize("kind", ["given", "limited"])
def test_a_full_disk_fails_writes_until_there_is_room(fault_run: FaultRun, kind: str) -> None:
    servers = fault_run.servers
    disk = servers.disk if kind == "given" else Limited(servers.postgres)
    disk.fill()
    assert wait_until(lambda: not _writes(fault_run), seconds=120), "it can still be written"
    disk.free()
    servers.postgres.start()
    assert wait_until(lambda: _writes(fault_run), seconds=120), "it cannot be written again"


def _writes(fault_run: FaultRun) -> bool:
    try:
        fault_run.sql("DROP TABLE IF EXISTS filler")
        fault_run.sql(FILL)
        fault_run.sql("CHECKPOINT")
    except psycopg.Error:
        return False
    return True
