"""The watchdog is fed by who calls for it, as often as it asks, and by nobody where nobody asked."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from events.runtime.service_manager import FEEDS, ServiceManager


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as theirs:
        theirs.bind(str(tmp_path / "notify"))
        theirs.settimeout(0.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield theirs


def _heard(theirs: socket.socket) -> list[str]:
    heard = []
    try:
        while True:
            heard.append(theirs.recv(100).decode())
    except BlockingIOError:
        return heard


def test_it_is_fed_as_often_as_it_asks_and_only_when_somebody_calls(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("events.runtime.service_manager.monotonic", lambda: now)
    monkeypatch.setenv("WATCHDOG_USEC", "8000000")
    ours = ServiceManager()
    assert _heard(manager) == []
    for step in range(10):
        now = 1000.0 + step
        ours.alive()
    assert _heard(manager) == ["WATCHDOG=1"] * 5
    assert FEEDS == 4


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}])
def test_nobody_asked(manager: socket.socket, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]) -> None:
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    ServiceManager().alive()
    assert _heard(manager) == []


def test_our_own_process_is_meant(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    ServiceManager().alive()
    assert _heard(manager) == ["WATCHDOG=1"]


def test_each_is_said_once(manager: socket.socket) -> None:
    ours = ServiceManager()
    for _ in range(2):
        ours.ready()
    for _ in range(2):
        ours.stopping()
    assert _heard(manager) == ["READY=1", "STOPPING=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@nobody-listens-here", "vsock:2:1234"])
def test_a_manager_that_is_not_there_disturbs_nothing(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    ours = ServiceManager()
    ours.ready()
    ours.alive()
    ours.stopping()
