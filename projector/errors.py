"""The projector's branches of the tree in `events.runtime.errors`.

ProgramError
+- PositionMoved        another consumer moved a position: the batch is dropped; re-read positions, go on
+- PositionImpossible   a stored position cannot be served by the broker: stop; a person decides
+- TooManyRefused       most of what is read is refused: stop; a person decides
+- GroupRefused         the group will never give this consumer a partition again: stop
+- StateError
   +- TopicMissing      a topic that is to be read does not exist
"""

from typing import ClassVar

from events.runtime.errors import ProgramError, StateError


class PositionMoved(ProgramError):
    """The stored position is not the one this consumer last knew, so another consumer owns the partition."""

    exit_code: ClassVar[int] = 1


class PositionImpossible(ProgramError):
    """The stored position lies outside the broker's range, or the topic is not the one it was stored for."""

    exit_code: ClassVar[int] = 1


class TooManyRefused(ProgramError):
    """More messages are refused than bad data alone explains: a bad deployment, here or at the producer."""

    exit_code: ClassVar[int] = 1


class GroupRefused(ProgramError):
    """This consumer can never again be given a partition, whatever it waits for."""

    exit_code: ClassVar[int] = 1


class TopicMissing(StateError):
    """A topic that is to be read does not exist."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic} does not exist: run `projector init`")
        self.topic = topic
