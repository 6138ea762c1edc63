"""The projector's branches of the tree in `events.runtime.errors`.

ProgramError
+- PositionMovedError        another consumer moved a position: the batch is dropped, the consumer rejoins
+- PositionImpossibleError   the broker cannot serve a stored position: stop; an operator decides
+- TooManyRefusedError       too many messages are refused: stop; an operator decides
+- GroupRefusedError         the group will never assign this consumer a partition again: stop
+- StateError
   +- TopicMissingError      a topic to be read does not exist
"""

from typing import ClassVar

from events.runtime.errors import ProgramError, StateError


class PositionMovedError(ProgramError):
    """The stored position is not the one that this consumer expects, so another consumer owns the partition."""

    exit_code: ClassVar[int] = 1


class PositionImpossibleError(ProgramError):
    """The stored position is outside the broker's range, or belongs to another topic of the same name."""

    exit_code: ClassVar[int] = 1


class TooManyRefusedError(ProgramError):
    """More messages are refused than bad data alone explains: this deployment or the producer's is wrong."""

    exit_code: ClassVar[int] = 1


class GroupRefusedError(ProgramError):
    """This consumer will never be assigned a partition again, so waiting does not help."""

    exit_code: ClassVar[int] = 1


class TopicMissingError(StateError):
    """A topic to be read does not exist."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic} does not exist: run `projector init`")
        self.topic = topic
