"""What identifies a message beyond its offset: the log that it belongs to, and its content.

An offset identifies a message only within one log. A topic that was deleted and created again has another topic id;
Kafka never reuses one. A log that was truncated and has grown again keeps its topic id: it is recognised by the message
that was applied last, whose offset then holds nothing or another message.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from events.contract.types import Message


@dataclass(frozen=True, kw_only=True)
class Record:
    """What identifies one message of a log.

    Args:
        offset: in its partition.
        leader_epoch: of the batch that holds it, where the broker reports it; it never decreases within a log.
        timestamp_ms: as the broker keeps it.
        digest: of key, value and headers.

    """

    offset: int
    leader_epoch: int | None
    timestamp_ms: int
    digest: bytes


def record_of(message: Message) -> Record:
    """Return what identifies a message."""
    return Record(
        offset=message.offset,
        leader_epoch=message.leader_epoch,
        timestamp_ms=message.timestamp_ms,
        digest=digest_of(message),
    )


def digest_of(message: Message) -> bytes:
    """Return the SHA-256 of a message's key, value and headers, each preceded by its length."""
    parts: list[bytes | None] = [message.key, message.value]
    for name, value in message.headers:
        parts += (name.encode("utf-8", "surrogateescape"), value)
    return sha256(b"".join(_length_prefixed(parts))).digest()


def _length_prefixed(parts: Iterable[bytes | None]) -> Iterable[bytes]:
    for part in parts:
        yield b"-" if part is None else b"%d:%b" % (len(part), part)
