"""What identifies a message: stored with positions and dead letters, so that it can never be told in another way."""

from hashlib import sha256

from events.contract.types import Message
from projector.kafka_log.log_identity import Record, digest_of, record_of


def _message(key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...] = ()) -> Message:
    return Message(
        topic="billing.invoices", partition=3, offset=7, leader_epoch=5, timestamp_ms=11, key=key, value=value,
        headers=headers,
    )  # fmt: skip


def test_the_digest_is_of_key_value_and_headers_each_with_its_length_before_it() -> None:
    message = _message(b"42", b"body", (("ce_id", b"a"), ("flag", None)))
    assert digest_of(message) == sha256(b"2:424:body5:ce_id1:a4:flag-").digest()
    assert digest_of(_message(None, None)) == sha256(b"--").digest()


def test_a_header_whose_name_is_no_text_counts_by_its_bytes() -> None:
    message = _message(b"", b"", ((b"\xff\xc3\xa9".decode("utf-8", "surrogateescape"), b"x"),))
    assert digest_of(message) == sha256(b"0:0:3:\xff\xc3\xa91:x").digest()


def test_no_two_messages_share_a_digest_by_where_their_parts_end() -> None:
    alike = [
        _message(b"4", b"2"), _message(b"42", b""), _message(b"", b"42"), _message(None, b"42"), _message(b"42", None),
        _message(b"4", b"2", (("", b""),)), _message(b"4", b"2", (("", None),)),
    ]  # fmt: skip
    assert len({digest_of(message) for message in alike}) == len(alike)


def test_a_record_is_the_messages_own_place_epoch_and_time() -> None:
    message = _message(b"42", b"body")
    assert record_of(message) == Record(offset=7, leader_epoch=5, timestamp_ms=11, digest=digest_of(message))
