"""Whether what is read under a running consumer is still the log whose positions it holds.

At every start and assignment positions are held against the broker before a message is read (see
`projector.consume.start_positions`). Two things may happen to a log later.

A topic is deleted and created again. Nobody tells a consumer: it goes on at its old offsets, in another log. Its id is
asked for every `LOOK_SECONDS`, on a thread, so that no batch waits for the answer. That this finds it a moment later is
enough, because nothing applied in between can hide it. The position keeps the id of the topic that it was given for: a
batch moves it only where that id still stands, and never changes it. So the next look, the next assignment and the next
start refuse it, however far it went. The way out replays the new topic from its beginning, where all that was skipped
is; what was applied in between is read again, and changes nothing.

A log is cut and grows again, as after a restore from an older copy, or a loss of what was not yet on disk. The topic's
id stays, and what is applied next would overwrite what identifies the log with a message of the new one. So nothing may
be applied in between. A log cannot be replaced under an open connection: the broker has to go, and librdkafka says so,
in the same queue and before it hands out what it fetches on the next connection. From that moment on nothing read is
submitted. What was read and not submitted is dropped; the batch in flight, all of it from before, ends. Then the
positions are proven anew as on assignment, and reading goes on from them. Where the leader's epoch has grown,
librdkafka asks the broker by itself whether the log still ends where it was read to.

What this cannot see: of several brokers, one whose log was replaced and whose connection was made again at the first
try, under the same epoch. Kafka gives a new epoch whenever a leader goes, so that takes a restore of the cluster's
metadata as well.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from time import monotonic
from typing import Final, Generic, TypeVar

import structlog

from events.contract.types import TopicPartition
from events.runtime.errors import ServiceTemporarilyUnavailable
from projector.errors import PositionImpossible, TopicMissing
from projector.positions.store import Position, created_again, deleted

LOOK_SECONDS: Final = 1.0  # between two looks at the topics' ids, and two tries to prove positions

Answer = TypeVar("Answer")
Positions = Mapping[TopicPartition, Position]

_log = structlog.get_logger()


class Question(Generic[Answer]):
    """Something asked of a service on a thread of its own, at most once at a time and not too often."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._asked: Future[Answer] | None = None
        self._outdated = False
        self._next = 0.0

    def answer(self) -> Answer | None:
        """Return an answer where one has come, and ask where it is time to; None meanwhile.

        Raises:
            ServiceTemporarilyUnavailable: this time there was no answer.
            ProgramError: what else the question ended in.

        """
        if self._asked is None:
            if monotonic() >= self._next:
                self._begin()
            return None
        if not self._asked.done():
            return None
        asked, self._asked = self._asked, None
        self._next = monotonic() + LOOK_SECONDS
        if self._outdated:
            self._outdated, self._next = False, 0.0
            return None
        return asked.result()

    def at_once(self) -> None:
        """Ask without waiting; an answer that is on its way by now counts for nothing."""
        self._outdated, self._next = self._asked is not None, 0.0

    def _begin(self) -> None:
        """Ask on a thread that ends with the process: a service that hangs holds up no shutdown."""
        answer: Future[Answer] = Future()
        self._asked = answer

        def run() -> None:
            try:
                answer.set_result(self._ask())
            except BaseException as error:  # noqa: BLE001 - raised again by whoever looks
                answer.set_exception(error)

        threading.Thread(target=run, name="looking", daemon=True).start()


class Continuity:
    """The two looks of a running consumer.

    Args:
        topic_ids: asks the broker for the id of each topic.
        prove: holds the stored positions of our partitions against the broker, and returns them.

    """

    def __init__(self, topic_ids: Callable[[], Mapping[str, str]], prove: Callable[[], Positions]) -> None:
        self._ids = Question(topic_ids)
        self._proof = Question(prove)
        self._topic_ids: dict[TopicPartition, str | None] = {}
        self._missing: str | None = None
        self.doubted = False

    def assign(self, given: Positions) -> None:
        """Note what was proven of partitions that we were given."""
        self._topic_ids.update({place: position.topic_id for place, position in given.items()})

    def revoke(self, taken: set[TopicPartition]) -> None:
        """Forget partitions that are taken from us."""
        for place in taken:
            self._topic_ids.pop(place, None)

    def doubt(self) -> None:
        """Begin to doubt the log: nothing may be submitted until it is proven."""
        if not self.doubted:
            _log.warning("the broker was away, looking whether its log is the one that was read")
        self.doubted = True
        self._proof.at_once()

    def proven(self) -> Positions | None:
        """Return where to read on once a doubted log is proven; None until then.

        Raises:
            PositionImpossible: it is another log.
            ServiceUnavailable: the broker, or PostgreSQL, does not let us in any more.

        """
        try:
            found = self._proof.answer()
        except ServiceTemporarilyUnavailable as away:
            _log.warning("trying again", why=str(away))
            return None
        if found is not None:
            self.doubted = False
        return found

    def look(self) -> None:
        """Compare the topics' ids where an answer has come.

        Raises:
            PositionImpossible: a topic is another one than was read, or gone.
            ServiceUnavailable: the broker does not let us in any more.

        """
        try:
            found = self._ids.answer()
        except ServiceTemporarilyUnavailable:
            return  # the consumer's own connection tells as much
        except TopicMissing as missing:
            if missing.topic == self._missing and missing.topic in {topic for topic, _ in self._topic_ids}:
                raise PositionImpossible(deleted(missing.topic)) from None
            self._missing = missing.topic  # to be asked for once more: a broker may not have heard of it yet
            return
        if found is not None:
            self._missing = None
            self._compare(found)

    def _compare(self, found: Mapping[str, str]) -> None:
        for (topic, _), topic_id in self._topic_ids.items():
            if topic_id not in {None, found[topic]}:
                raise PositionImpossible(created_again(topic, "while it was read"))
