"""librdkafka's message as ours."""

from collections.abc import Callable
from operator import methodcaller
from typing import Final

from confluent_kafka import Message as KafkaMessage

from events.contract.cloudevents import STRUCTURED_HEADERS
from events.contract.types import Message

_headers: Final[Callable[[KafkaMessage], list[tuple[str, bytes | None]] | None]] = methodcaller("headers")
"""Where a header's name is not UTF-8, the client sets an exception and still returns a list. CPython's specialised call
of a method, which a hot loop gets, does not check for that exception; a call through `methodcaller` does."""


def receive(message: KafkaMessage) -> Message:
    """Copy what is needed out of librdkafka's message, so that the rest can be freed."""
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
