"""A full disk fails what is written, for either kind of disk, and nothing is left of that once there is room again."""

from typing import Final

import psycopg
import pytest

from projector.sandbox.processes import wait_until
from tests.faults.disk import Limited
from tests.faults.fault_run import Scene

FILL: Final = "CREATE TABLE IF NOT EXISTS filler AS SELECT repeat('x', 900) FROM generate_series(1, 5000)"


@pytest.mark.parametrize("kind", ["given", "limited"])
def test_a_full_disk_fails_writes_until_there_is_room(scene: Scene, kind: str) -> None:
    servers = scene.servers
    disk = servers.disk if kind == "given" else Limited(servers.postgres)
    disk.fill()
    assert wait_until(lambda: not _writes(scene), seconds=20), "it can still be written"
    disk.free()
    servers.postgres.start()
    assert wait_until(lambda: _writes(scene), seconds=20), "it cannot be written again"


def _writes(scene: Scene) -> bool:
    try:
        scene.sql("DROP TABLE IF EXISTS filler")
        scene.sql(FILL)
        scene.sql("CHECKPOINT")
    except psycopg.Error:
        return False
    return True
