"""A program of a run, from its first start to its last end."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.proxy import Proxy
from tests.support.programs import Started


@dataclass
class Program:
    """A program that is started again whenever it was made to end, with connections to PostgreSQL of its own."""

    name: str
    proxy: Proxy
    start: Callable[[], Started]
    started: Started | None = None
    killed: bool = False
    logs: list[Started] = field(default_factory=list)

    def run(self) -> None:
        """Start it."""
        self.started, self.killed = self.start(), False
        self.logs.append(self.started)

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return None if self.started is None else self.started.process.poll()

    @property
    def has_begun(self) -> bool:
        """Whether it has said anything, as a consumer does when it has joined."""
        return self.started is not None and self.started.stderr.stat().st_size > 0

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.started is not None and self.exit_code is None:
            self.killed = self.killed or number == signal.SIGKILL
            self.started.process.send_signal(number)
            if number == signal.SIGKILL:
                self.started.process.wait()
