"""What systemd hears from each program on a real socket: when it works, that its loop comes round, that it ends."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.deployment import Deployment, log, wait_for_exit

SERVICES: Final = ("projector run", "projector metrics --listen", "backfill drift-check --every 1h")
WATCHDOG_USEC: Final = "2000000"
SERVED: Final = {"PROJECTOR_METRICS_ADDRESS": "127.0.0.1:0"}


class Manager:
    """A socket as systemd has one, in the file system or with an abstract name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(0.0)
        self._heard: list[str] = []

    def heard(self) -> list[str]:
        """Return every message so far, in order."""
        try:
            while True:
                self._heard.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return self._heard

    def environment(self) -> dict[str, str]:
        """Return what systemd sets."""
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": WATCHDOG_USEC}

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a file", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "a file" else f"@{tmp_path}")
    yield made
    made.close()


@pytest.mark.parametrize("command", SERVICES)
def test_a_service_says_when_it_works_that_its_loop_comes_round_and_that_it_ends(
    deployment: Deployment, manager: Manager, command: str
) -> None:
    env = deployment.environment | SERVED | manager.environment()
    started = deployment.start_command(*command.split(), env=env)
    deployment.wait_until(lambda: "READY=1" in manager.heard(), what="READY=1")
    fed = manager.heard().count("WATCHDOG=1")
    deployment.wait_until(lambda: manager.heard().count("WATCHDOG=1") >= fed + 2, what="the watchdog to be fed twice")
    started.process.send_signal(signal.SIGTERM)
    assert wait_for_exit(started) == 0, log(started)
    said = manager.heard()
    assert [said.count(what) for what in ("READY=1", "STOPPING=1")] == [1, 1]
    assert said.index("READY=1") < said.index("STOPPING=1")
    assert set(said) == {"READY=1", "STOPPING=1", "WATCHDOG=1"}


def test_a_consumer_whose_database_is_away_lives_and_is_not_ready(deployment: Deployment, manager: Manager) -> None:
    away = {"PROJECTOR_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    deployment.start(SERVED | manager.environment() | away)
    deployment.wait_until(lambda: manager.heard().count("WATCHDOG=1") >= 3, what="the watchdog to be fed")
    assert "READY=1" not in manager.heard()
