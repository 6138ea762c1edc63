"""What a process says to the service manager that has started it, by systemd's protocol (sd_notify(3)).

One datagram for each message goes to the socket in `NOTIFY_SOCKET`; without that variable nothing is sent. A watchdog
that is asked for by `WATCHDOG_USEC` is fed four times within its time by whoever calls `alive`, and by nobody else: a
loop that hangs feeds nothing.
"""

import os
import socket
from contextlib import suppress
from time import monotonic
from typing import Final

FEEDS: Final = 4  # within the watchdog's time; systemd advises at least two


class ServiceManager:
    """The manager of this process, as its environment says."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        asked = for_us and microseconds.isascii() and microseconds.isdigit()
        self._every = int(microseconds) / 1e6 / FEEDS if asked else None
        self._due = 0.0
        self._said = set[str]()

    def ready(self) -> None:
        """Say that the process works; only the first call counts."""
        self._say_once("READY=1")

    def stopping(self) -> None:
        """Say that it has begun to end; only the first call counts."""
        self._say_once("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog if it is due."""
        if self._every is not None and monotonic() >= self._due:
            self._due = monotonic() + self._every
            self._say("WATCHDOG=1")

    def _say_once(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self._say(what)

    def _say(self, what: str) -> None:
        """Send a message; a manager that is gone or does not read is none of the process's business."""
        if not self._address.startswith(("/", "@")):
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as ours:
            ours.settimeout(0.0)
            ours.sendto(what.encode(), address)
