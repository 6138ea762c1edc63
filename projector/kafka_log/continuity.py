"""Whether the log that a running consumer reads is still the one that its positions belong to.

At each start and assignment, every position is checked against the broker before a message is read (see
`projector.consume.start_positions`). Two things can happen to a log after that.

1. A topic is deleted and created again. Kafka does not report this to a consumer, which continues at its old offsets in
the new log. So the ids of all topics are requested every `CHECK_SECONDS`, on a thread, so that no batch waits for the
answer. A consumer stops even if no partition of the topic is assigned to it. It may have none because the topic was
missing when the group assigned partitions, and then nobody reads the new one until librdkafka asks for metadata again.
Finding it a moment later is early enough, because nothing applied in between can hide it: a position keeps the id of
the topic that it was assigned for, and a batch moves it only while that id is still stored, and never changes it. The
next check, assignment or start therefore refuses the position, however far it has moved. The command that recovers
replays the new topic from its beginning, which includes everything that was skipped; what was applied in between is
read again and changes nothing.

2. A log is truncated and grows again, as after a restore from an older copy, or after losing what was not yet on disk.
The topic id stays, and the next message applied would overwrite what identifies the log. So nothing may be applied in
between. A log cannot be replaced under an open connection: the broker has to stop, and librdkafka reports the lost
connection in the same queue as messages, before those that it fetches on the next connection. From that report on, no
batch is submitted. Messages that were read and not submitted are dropped; the batch in flight, read before, completes.
Then the positions are checked as on assignment, and reading continues from them. If the leader epoch has grown,
librdkafka itself asks the broker whether the log still reaches the offset that was read.

Not detected: one of several brokers whose log was replaced and whose connection succeeded at the first attempt, under
the same leader epoch. Kafka assigns a new epoch whenever a leader goes away, so this takes a restore of the cluster's
metadata as well.
"""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import structlog

from events.contract.types import TopicPartition
from events.runtime import background
from events.runtime.errors import ServiceTemporarilyUnavailableError
from projector.errors import PositionImpossibleError, TopicMissingError
from projector.kafka_log.position_check import Position, created_again, deleted

if TYPE_CHECKING:
    from concurrent.futures import Future

CHECK_SECONDS: Final = 1.0  # between two requests for the topic ids, and between two attempts to check positions

Answer = TypeVar("Answer")
Positions = Mapping[TopicPartition, Position]

_log = structlog.get_logger()


class Question(Generic[Answer]):
    """A request to a service on a thread of its own: one at a time, at most one every `CHECK_SECONDS`."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._asked: Future[Answer] | None = None
        self._outdated = False
        self._next = 0.0

    def answer(self) -> Answer | None:
        """Return an answer that has arrived, or send the request if it is time; None otherwise.

        Raises:
            ServiceTemporarilyUnavailableError: this request got no answer, or an outdated one got none.
            ProgramError: what else the request failed with.

        """
        if self._asked is None:
            if monotonic() >= self._next:
                self._begin()
            return None
        if not self._asked.done():
            return None
        asked, self._asked = self._asked, None
        self._next = monotonic() + CHECK_SECONDS
        if self._outdated:
            self._outdated = False
            if not isinstance(asked.exception(), ServiceTemporarilyUnavailableError):
                self._next = 0.0
                return None
        return asked.result()

    def at_once(self) -> None:
        """Send the next request without waiting, and discard the answer of one that is already running."""
        self._outdated, self._next = self._asked is not None, 0.0

    def _begin(self) -> None:
        """Ask on a daemon thread: a service that hangs does not delay shutdown."""
        self._asked = background.begin(self._ask, name="continuity")


class Continuity:
    """The two checks of a running consumer.

    Args:
        topic_ids: asks the broker for the id of each topic.
        prove: checks the stored positions of this consumer's partitions against the broker, and returns them.

    """

    def __init__(self, topic_ids: Callable[[], Mapping[str, str]], prove: Callable[[], Positions]) -> None:
        self._ids = Question(topic_ids)
        self._proof = Question(prove)
        self._expected: Mapping[str, str] = {}
        self._missing: str | None = None
        self.doubted = False

    def expect(self, topic_ids: Mapping[str, str]) -> None:
        """Take the topic ids with which the positions were just checked."""
        self._expected = topic_ids

    def doubt(self, reason: str) -> None:
        """Mark the log as unproven: no batch may be submitted until `proven` returns positions."""
        if not self.doubted:
            _log.warning("broker connection lost, checking the log", reason=reason)
        self.doubted = True
        self._proof.at_once()

    def proven(self) -> Positions | None:
        """Return the positions to continue from once the log is proven to be the same; None until then.

        Raises:
            PositionImpossibleError: it is another log.
            ServiceUnavailableError: the broker or PostgreSQL refuses us.

        """
        try:
            found = self._proof.answer()
        except ServiceTemporarilyUnavailableError as error:
            _log.warning("retrying", reason=str(error), wait_seconds=CHECK_SECONDS)
            return None
        if found is not None:
            self.doubted = False
        return found

    def check_topic_ids(self) -> None:
        """Compare the topic ids, if an answer has arrived.

        Raises:
            PositionImpossibleError: a topic was created again, or deleted.
            ServiceUnavailableError: the broker refuses us.

        """
        try:
            found = self._ids.answer()
        except ServiceTemporarilyUnavailableError:
            return  # the consumer's own connection reports the same
        except TopicMissingError as missing:
            if missing.topic == self._missing:
                raise PositionImpossibleError(deleted(missing.topic)) from None
            self._missing = missing.topic  # ask once more: a broker may not know the topic yet
            return
        if found is not None:
            self._missing = None
            self._compare(found)

    def _compare(self, found: Mapping[str, str]) -> None:
        for topic, topic_id in self._expected.items():
            if topic_id != found[topic]:
                raise PositionImpossibleError(created_again(topic, "while it was read"))
