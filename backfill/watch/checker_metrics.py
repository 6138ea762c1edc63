"""What a checking service counts about itself, and whether it is alive and ready.

The loop beats whenever it asks whether to stop: between two chunks, and ten times a second while it rests.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from backfill.throttle.pace import Rests
from events.runtime.settings import Settings, host_and_port
from projector.metrics import probes
from projector.metrics.catalogue import Source
from projector.metrics.heartbeat import Heartbeat
from projector.metrics.probes import Answer

if TYPE_CHECKING:  # it loads what only a scrape needs
    from projector.metrics.families import Families

SILENT_SECONDS: Final = 600.0  # a chunk takes a fraction of a second, unless one of its statements waits for a lock


class CheckerMetrics:
    """Counts of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rounds = Counter[str]()
        self._complete_at = 0.0
        self.heartbeat = Heartbeat()
        self.rests = Rests()
        self._working = False

    def beating(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Let each question whether to stop be a beat."""

        def asked() -> bool:
            self.heartbeat.beat()
            return stop()

        return asked

    def begun(self) -> None:
        """Say that a round works: the schema fits, PostgreSQL answers, and no other checker works."""
        self._working = True
        self.heartbeat.manager.ready()

    def ended(self, outcome: str) -> None:
        """Count a round that ended: complete, partial, failed or postponed."""
        self._rounds[outcome] += 1
        self._working = outcome in {"complete", "partial"}
        if outcome == "complete":
            self._complete_at = time.time()

    def alive(self) -> Answer:
        """Tell whether the loop comes round."""
        return probes.alive(self.heartbeat.age_seconds, SILENT_SECONDS + self._settings.shutdown_seconds)

    def ready(self) -> Answer:
        """Tell whether rounds can begin."""
        return probes.ready(checking=self._working)

    def collect(self, families: "Families") -> None:
        """Add what a scrape shows."""
        families.add_build_info(Source.CHECKER.value, self._settings)
        families.add("projector_loop_heartbeat_timestamp_seconds", self.heartbeat.at)
        families.add("projector_check_last_complete_timestamp_seconds", self._complete_at)
        for outcome, count in dict(self._rounds).items():
            families.add("projector_check_rounds_total", count, outcome=outcome)
        for reason, seconds in self.rests.seconds().items():
            families.add("projector_run_throttled_seconds_total", seconds, reason=reason)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve metrics and probes for the duration of the block, if an address is set."""
        if (address := host_and_port(self._settings.metrics_address)) is None:
            yield
            return
        from projector.metrics import endpoint, families  # noqa: PLC0415 - loads what only the metrics need

        with endpoint.serving(
            address, families.registry(self.collect), {probes.ALIVE: self.alive, probes.READY: self.ready}
        ):
            yield
