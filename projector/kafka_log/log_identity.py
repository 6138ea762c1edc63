"""What identifies a message beyond its offset: the log that it stands in, and its bytes.

An offset names a message only within one log. A topic that was deleted and created again has another topic id, which
Kafka never gives twice. A log that was cut and has grown again keeps its id; it is recognised by the message that was
applied last, which is then not there, or another.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from events.contract.types import Message


@dataclass(frozen=True, kw_only=True)
class Record:
    """One message of a log: where it stands, in which leader epoch and when it was appended, and its content.

    Args:
        offset: its place in the partition's log.
        leader_epoch: of the batch that holds it, where the broker tells; never less than that of a message before it.
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
    """Return the SHA-256 of a message's key, value and headers, each with its length before it."""
    parts: list[bytes | None] = [message.key, message.value]
    for name, value in message.headers:
        parts += (name.encode("utf-8", "surrogateescape"), value)
    return sha256(b"".join(_framed(parts))).digest()


def _framed(parts: Iterable[bytes | None]) -> Iterable[bytes]:
    for part in parts:
        yield b"-" if part is None else b"%d:%b" % (len(part), part)
