"""PostgreSQL's processor time, all of its processes together: what a busy machine changes least of all figures."""

import threading
from types import TracebackType
from typing import Final

import psutil

POLL_SECONDS: Final = 0.2  # a session that ends is missed for so long at most; each look costs milliseconds


class ProcessorTime:
    """Adds up, from the start of a `with` block to its end, what a server and its children use.

    `seconds` is their sum so far: sessions, parallel workers, checkpointer, WAL writer and autovacuum alike.
    """

    def __init__(self, server: psutil.Process) -> None:
        self._server = server
        self._before: dict[psutil.Process, float] = {}
        self._latest: dict[psutil.Process, float] = {}
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="processor time")

    @property
    def seconds(self) -> float:
        """Processor seconds."""
        return sum(latest - self._before.get(process, 0.0) for process, latest in self._latest.items())

    def __enter__(self) -> "ProcessorTime":
        self._look()
        self._before = dict(self._latest)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._enough.wait(POLL_SECONDS):
            self._look()

    def _look(self) -> None:
        for process in (self._server, *self._server.children()):
            try:
                times = process.cpu_times()
            except psutil.Error:  # it has just ended
                continue
            self._latest[process] = times.user + times.system
