"""When a loop last came round. Idle is alive, and so is waiting for a service as long as each try ends."""

import time

from events.runtime.service_manager import ServiceManager


class Heartbeat:
    """The moment of the last beat, on both clocks; each beat may feed the service manager's watchdog."""

    def __init__(self) -> None:
        self.at = 0.0
        """In Unix time."""
        self._monotonic = 0.0
        self.manager = ServiceManager()
        self.beat()

    def beat(self) -> None:
        """Say that the loop came round."""
        self.at = time.time()
        self._monotonic = time.monotonic()
        self.manager.alive()

    @property
    def age_seconds(self) -> float:
        """Return how long ago the last beat was."""
        return time.monotonic() - self._monotonic
