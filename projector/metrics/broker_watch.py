"""How far the logs reach and how long they are kept, asked on a thread: a broker that is away delays nothing.

A lag that is computed from the last fetch looks healthy while a partition's leader is gone. So the ends are asked for
apart from fetching, and the moment of the last answer is a metric of its own.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from types import TracebackType
from typing import Final

from events.contract.types import TopicPartition
from events.runtime.errors import ProgramError
from events.runtime.kafka import translate_kafka_errors
from events.runtime.settings import Settings
from projector.kafka_log.broker import Broker
from projector.kafka_log.partitions import PartitionLog

ASK_SECONDS: Final = 10.0  # between two questions
RETENTION_SECONDS: Final = 300.0  # between two questions on the topics' configuration, which changes rarely


@dataclass(frozen=True, kw_only=True)
class Logs:
    """What the broker said.

    Args:
        asked_at: when, in Unix time; 0 before it did.
        partitions: each partition's log.
        retention_seconds: by topic, how long a message is kept; infinite where nothing is deleted by age. Topics whose
            configuration we may not read are left out.

    """

    asked_at: float = 0.0
    partitions: Mapping[TopicPartition, PartitionLog] = field(default_factory=dict)
    retention_seconds: Mapping[str, float] = field(default_factory=dict)

    def headroom(self, place: TopicPartition, offset: int, age_seconds: float) -> float | None:
        """Return after how many seconds the broker deletes the message at an offset of that age; None if unknown."""
        kept = self.retention_seconds.get(place[0])
        if kept is None:
            return None
        log = self.partitions.get(place)
        return 0.0 if log is not None and log.low > offset else max(0.0, kept - age_seconds)


class BrokerWatch:
    """What the broker said last; a context manager, within which it is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker = Broker(settings)
        self._ended = Event()
        self._retention_due = 0.0
        self.logs = Logs()

    def ask(self) -> Logs:
        """Ask once, and return what the broker says.

        Raises:
            ProgramError: the broker does not answer, refuses us, or has no such topic.

        """
        kept = self.logs.retention_seconds
        with translate_kafka_errors(self._settings):
            partitions = self._broker.logs()
            if time.monotonic() >= self._retention_due:
                kept = self._broker.retention_seconds()
                self._retention_due = time.monotonic() + RETENTION_SECONDS
        self.logs = Logs(asked_at=time.time(), partitions=partitions, retention_seconds=kept)
        return self.logs

    def __enter__(self) -> None:
        """Begin to ask."""
        Thread(target=self._run, name="broker watch", daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask no more; a question that hangs ends with the process."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            with suppress(ProgramError):  # whoever works with the broker reports it; the age of the last answer tells
                self.ask()
            self._ended.wait(ASK_SECONDS)
