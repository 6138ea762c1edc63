"""Which headers make a message an event in binary mode, and which leave it in structured mode, by example."""

import json

import pytest

from tests.support import examples
from tests.unit.events.test_decode import BINARY, DECODE, Headers, accepted, decoded, invoice, message, refused


def test_binary_mode_reads_attributes_from_headers_of_any_case() -> None:
    value = json.dumps(invoice()["data"]).encode()
    headers = tuple((name.upper(), text) for name, text in BINARY)
    assert accepted(DECODE(message(value, headers=headers))) == accepted(decoded(invoice()))


def test_binary_mode_needs_no_content_type_and_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_again(value: bytes) -> None:
        raise AssertionError(value)

    monkeypatch.setattr("events.contract.decode._require_distinct", read_again)
    value = json.dumps(invoice()["data"]).encode()
    assert DECODE(message(value, headers=BINARY[:-1])) == decoded(invoice())


def test_structured_wins_over_ce_headers_and_needs_no_header_at_all() -> None:
    value = examples.line(invoice())
    both = (("Content-Type", b"Application/CloudEvents+JSON"), ("ce_id", b"other"))
    assert accepted(DECODE(message(value, headers=both))).id == "a"
    broken = (("ce_id", b"\xff"), ("content-type", b"application/cloudevents+json"))
    assert accepted(DECODE(message(value, headers=broken))).id == "a"
    assert accepted(DECODE(message(value, headers=()))).id == "a"
    assert accepted(DECODE(message(value, headers=(("trace", None), ("content-type", None))))).id == "a"


@pytest.mark.parametrize(
    "headers",
    [
        *(tuple(pair for pair in BINARY if pair[0] != name) for name in ("ce_id", "ce_source", "ce_type")),
        (*BINARY, ("ce_id", b"b")),
        (*BINARY[:2], ("ce_id", b"\xff"), *BINARY[3:]),
        (*BINARY[:2], ("ce_id", b"a\x00"), *BINARY[3:]),
        (*BINARY[:2], ("ce_id", None), *BINARY[3:]),
        (*BINARY[:4], ("content-type", b"application/avro")),
        (("content-type", b"application/json"),),
        (("content-type", b"application/cloudevents-batch+json"),),
    ],
)
def test_binary_mode_refuses_broken_attributes(headers: Headers) -> None:
    assert refused(DECODE(message(json.dumps(invoice()["data"]).encode(), headers=headers))).reason == "not-cloudevent"


def test_binary_mode_refuses_broken_data() -> None:
    assert refused(DECODE(message(b"{", headers=BINARY))).reason == "not-json"
    assert refused(DECODE(message(b"[]", headers=BINARY))).reason == "not-json"
    assert refused(DECODE(message(b"{}", headers=BINARY))) == (
        "invalid-data",
        "data.invoice_id: is missing; also wrong: data.version, data.amount, data.currency, data.invoice_date",
    )
    twice = b'{"version": 3, ' + json.dumps(invoice()["data"]).encode()[1:]
    assert refused(DECODE(message(twice, headers=BINARY))).reason == "not-json"
