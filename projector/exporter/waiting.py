"""How old the messages are that are not applied: the one at each position is read, once for each position."""

from collections.abc import Mapping

from events.contract.types import TopicPartition
from events.runtime.settings import Settings
from projector.kafka_log.log_reader import LogReader
from projector.kafka_log.partitions import PartitionLog


class Waiting:
    """Reads the first message that each partition has to apply, and remembers its timestamp."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: LogReader | None = None
        self._read: dict[TopicPartition, tuple[int, float | None]] = {}

    def since(
        self, positions: Mapping[TopicPartition, int], logs: Mapping[TopicPartition, PartitionLog]
    ) -> dict[TopicPartition, float]:
        """Return since when each partition with messages to apply has had them, in Unix time.

        Where retention has deleted the message at a position, the first that is left counts.

        Raises:
            ServiceUnavailableError: the broker does not answer.

        """
        found: dict[TopicPartition, float] = {}
        for place, log in sorted(logs.items()):
            offset = max(positions.get(place, log.low), log.low)
            if offset >= log.high:
                continue
            if self._read.get(place, (-1,))[0] != offset:
                self._read[place] = offset, self._timestamp(place, offset, log.high)
            if (at := self._read[place][1]) is not None:
                found[place] = at
        return found

    def close(self) -> None:
        """Disconnect."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _timestamp(self, place: TopicPartition, offset: int, end: int) -> float | None:
        """Return the timestamp of the first message from an offset on; None if only transaction markers follow."""
        if self._reader is None:
            self._reader = LogReader(self._settings)
        message = next(self._reader.read(*place, offset, end), None)
        return None if message is None else message.timestamp_ms / 1000
