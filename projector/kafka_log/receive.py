"""From librdkafka's message to ours."""

from collections.abc import Callable
from operator import methodcaller
from typing import Final

from confluent_kafka import Message as KafkaMessage

from events.contract.cloudevents import STRUCTURED_HEADERS
from events.contract.types import Message

_headers: Final[Callable[[KafkaMessage], list[tuple[str, bytes | None]] | None]] = methodcaller("headers")
"""Where a header's name is no UTF-8, the client returns a broken list beside an exception. Called as a method, in a
loop that runs hot, the interpreter would look at the list alone; called like this it always looks for the exception."""


def receive(message: KafkaMessage) -> Message:
    """Take what we need out of librdkafka's message, and let go of the rest."""
    try:
        headers = _headers(message) or []
    except (UnicodeDecodeError, SystemError):
        headers = [("undecodable header name", None)]
    given = tuple(headers)
    return Message(
        str(message.topic()), message.partition() or 0, message.offset() or 0, message.timestamp()[1],
        message.key(), message.value(), STRUCTURED_HEADERS if given == STRUCTURED_HEADERS else given,
        message.leader_epoch(),
    )  # fmt: skip
