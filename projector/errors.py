"""The projector's branches of the tree in `events.errors`.

ProgramError
+- PositionMoved        another consumer moved a position: the batch is dropped; re-read positions, go on
+- PositionImpossible   a stored position cannot be served by the broker: stop; a person decides
+- TooManyRefused       most of what is read is refused: stop; a person decides
"""

from typing import ClassVar

from events.errors import ProgramError


class PositionMoved(ProgramError):
    """The stored position is not the one this consumer last knew, so another consumer owns the partition."""

    exit_code: ClassVar[int] = 1


class PositionImpossible(ProgramError):
    """The stored position lies outside the broker's range, or the topic is not the one it was stored for."""

    exit_code: ClassVar[int] = 1


class TooManyRefused(ProgramError):
    """More messages are refused than bad data alone explains: a bad deployment, here or at the producer."""

    exit_code: ClassVar[int] = 1
