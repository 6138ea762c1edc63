"""What a refusal says, to the letter: an operator reads nothing else, and scripts filter by the reason."""

import gzip
import json
from typing import Any, Final

import pytest

from tests.support import examples
from tests.unit.events.test_decode import BINARY, DECODE, Headers, decoded, invoice, message, payment

MONEY: Final = 'is not a decimal string with at most 16 digits before the point and two after, like "1250.00"'
NUMBER: Final = 'is not a string: write it in quotes, an amount with two decimals, like "1250.00"'
OTHERS: Final = "data.version, data.amount, data.currency, data.invoice_date"
WHOLE: Final = "send a whole event as application/cloudevents+json"
REGISTRY: Final = "begins with a schema registry's magic byte: send JSON by a serializer without a registry"
MOST: Final = 2**63 - 1
DATA: Final = json.dumps(invoice()["data"]).encode()


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (invoice(1.5), f"data.amount: the number 1.5 {NUMBER}"),
        (invoice(7), f"data.amount: 7 {NUMBER}"),
        (invoice(money=True), "data.amount: true is not a string"),
        (invoice(None), "data.amount: null is not a string"),
        (invoice([]), "data.amount: is not a string"),
        (invoice("x" * 60), f"data.amount: '{'x' * 60}' {MONEY}"),
        (invoice("x" * 61), f"data.amount: {MONEY}"),
        (invoice(version=0), "data.version: 0 is not a positive integer"),
        (invoice(version="7"), "data.version: '7' is not an integer"),
        (invoice(version=MOST + 1), f"data.version: {MOST + 1} is greater than {MOST}"),
        (invoice(version=MOST * 10), f"data.version: {MOST * 10} is greater than {MOST}"),
        (invoice(version=MOST * 10 + 1), f"data.version: is greater than {MOST}"),
        (invoice(invoice_date="soon"), "data.invoice_date: 'soon' is not a date like 2026-01-31"),
        (invoice(invoice_number="x" * 1001), "data.invoice_number: is longer than 1000 characters"),
        (invoice(currency="kes"), "data.currency: 'kes' is not a currency code of three capitals"),
        (invoice(lines={}), "data.lines: is not an array"),
        (invoice(lines=[{"type": "W", "amount": "x"}]), f"data.lines.0.amount: 'x' {MONEY}"),
        (invoice() | {"data": []}, "data: is not an object"),
        (
            invoice(7, version=0, invoice_date="soon", currency="kes"),
            "data.version: 0 is not a positive integer; also wrong: data.amount, data.currency, data.invoice_date",
        ),
        (
            invoice(lines=[{"type": "W", "amount": amount} for amount in "abcdefg"]),
            f"data.lines.0.amount: 'a' {MONEY}; also wrong: "
            + ", ".join(f"data.lines.{line}.amount" for line in range(1, 6))
            + ", ...",
        ),
        (payment("0.00"), "data.amount: '0.00' is not greater than zero"),
        (
            payment(paid_at="soon"),
            "data.paid_at: 'soon' is not a timestamp with an offset, like 2026-01-31T08:00:00+03:00",
        ),
        (payment(paid_at="0001-01-01T00:00:00+03:00"), "data.paid_at: lies outside the years 1 to 9999 in UTC"),
    ],
)
def test_of_data(event: dict[str, Any], said: str) -> None:
    assert decoded(event) == ("invalid-data", said)


def test_of_data_in_the_words_of_others() -> None:
    """Where we have no sentence of our own, the library's stands, behind the place and the value."""
    reason, detail = decoded(invoice(invoice_date="2026-02-30"))[:2]
    assert reason == "invalid-data"
    assert detail.startswith("data.invoice_date: '2026-02-30' Input should be a valid date")


@pytest.mark.parametrize(
    ("attributes", "reason", "said"),
    [
        ({"id": ""}, "not-cloudevent", "id: '' is empty"),
        ({"data_base64": "x"}, "not-cloudevent", "data_base64: 'x' is not accepted; send `data` as a JSON object"),
        ({"type": "x" * 101}, "unknown-type", f"type: '{'x' * 100}' is not in the contract"),
        (
            {"type": "billing.payment.recieved"},
            "unknown-type",
            "type: 'billing.payment.recieved' is not in the contract; did you mean billing.payment.received?",
        ),
        ({"specversion": "2"}, "not-cloudevent", "specversion: '2' Input should be '1.0'"),
    ],
)
def test_of_attributes(attributes: dict[str, object], reason: str, said: str) -> None:
    assert decoded(invoice(), **attributes) == (reason, said)


def test_of_a_media_type() -> None:
    said = "datacontenttype: 'text/plain' is not a media type of JSON, and `data` has to be JSON"
    assert decoded(invoice(), datacontenttype="text/plain") == ("not-cloudevent", said)


@pytest.mark.parametrize(
    ("value", "reason", "said"),
    [
        (None, "no-value", "the message has no value; the contract deletes nothing"),
        (b'{"a"', "not-json", "the value is not JSON: EOF while parsing an object at line 1 column 4"),
        (b"[]", "not-json", "is not an object"),
        (b"{}", "not-cloudevent", "type: is missing"),
        (b'{"data":{}}', "not-cloudevent", "type: is missing"),
    ],
)
def test_of_a_value(value: bytes | None, reason: str, said: str) -> None:
    assert DECODE(message(value)) == (reason, said)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (b'"%s":1,"%s":2' % (b"n" * 101, b"n" * 101), f"member '{'n' * 100}' is given twice in one object"),
        (b'"one":1,"two":{"in":1,"in":2}', "member 'in' is given twice in one object"),
        (b'"x":{"a":NaN}', "NaN is not JSON"),
        (b'"x":-Infinity,"y":"\\u0041"', "-Infinity is not JSON"),
    ],
)
def test_of_members_that_are_ignored_otherwise(more: bytes, said: str) -> None:
    assert DECODE(message(examples.line(invoice())[:-1] + b"," + more + b"}")) == ("not-json", said)


@pytest.mark.parametrize(
    ("headers", "value", "reason", "said"),
    [
        (
            (*(h for h in BINARY if h[0] != "ce_type"), ("ce_type", b"t" * 101)),
            DATA,
            "unknown-type",
            f"type: '{'t' * 100}' is not in the contract",
        ),
        (tuple(h for h in BINARY if h[0] != "ce_id"), DATA, "not-cloudevent", "id: is missing"),
        (BINARY, b"[", "not-json", "data: the value is not JSON: EOF while parsing a list at line 1 column 1"),
        (BINARY, b"[]", "not-json", "data: is not an object"),
        (BINARY, b"treu", "not-json", "data: the value is not JSON: expected true, false or null at line 1 column 3"),
        (BINARY, b"{}", "invalid-data", f"data.invoice_id: is missing; also wrong: {OTHERS}"),
        (BINARY, DATA[:-1] + b',"a":1,"a":2}', "not-json", "member 'a' is given twice in one object"),
        ((*BINARY, ("CE_Source", b"\xff")), DATA, "not-cloudevent", "header 'ce_source' is not UTF-8"),
        (
            (*BINARY, ("ce_id", b"another")),
            DATA,
            "not-cloudevent",
            "header 'ce_id' is given twice with different values",
        ),
        (
            (("ce-id", b"x"), ("ce-type", b"y"), ("content-type", b"application/json")),
            DATA,
            "not-cloudevent",
            "header 'ce-id': in Kafka headers begin with ce_, not with ce- as in HTTP",
        ),
        (
            (("Content-Type", b"application/json"),),
            examples.line(invoice()),
            "not-cloudevent",
            f"content-type is 'application/json' and no header begins with ce_: {WHOLE}",
        ),
        (
            (*(h for h in BINARY if h[0] != "content-type"), ("content-type", b"text/\xff")),
            DATA,
            "not-cloudevent",
            "datacontenttype: 'text/\ufffd' is not a media type of JSON, and `data` has to be JSON",
        ),
    ],
)
def test_of_binary_mode(headers: Headers, value: bytes, reason: str, said: str) -> None:
    assert DECODE(message(value, headers=headers)) == (reason, said)


@pytest.mark.parametrize(
    "more",
    [
        (("trace", b"\xff"),),
        (("ce_subject", b"\xff"), ("ce_time", b"1"), ("ce_time", b"2")),
        (("ce_datacontenttype", b"application/xml"), ("content-type", b"Application/JSON; charset=UTF-8")),
        (("ce-id", b"another"), ("ce_x", b"1"), ("ce_x", b"2")),
        (("ce_id", dict(BINARY)["ce_id"]),),
    ],
    ids=[
        "of no CloudEvent",
        "that decide nothing",
        "a media type that is written otherwise",
        "of HTTP",
        "given twice alike",
    ],
)
def test_headers_that_decide_nothing_refuse_nothing(more: Headers) -> None:
    assert DECODE(message(DATA, headers=(*more, *BINARY))) == decoded(invoice())


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"\xef\xbb\xbf%s" % DATA, "begins with a byte order mark: send UTF-8 without one"),
        (DATA.decode().encode("utf-16"), "is UTF-16: send UTF-8"),
        (DATA.decode().encode("utf-16-le"), "is UTF-16: send UTF-8"),
        (DATA.decode().encode("utf-16-be"), "is UTF-16: send UTF-8"),
        (
            b"\0\0\0\0\7%s" % DATA,
            "begins with a schema registry's magic byte: send JSON by a serializer without a registry",
        ),
        (gzip.compress(DATA), "is compressed by gzip: leave that to the producer's compression.type"),
        (b"\x28\xb5\x2f\xfd\0", "is compressed by zstd: leave that to the producer's compression.type"),
        (b"\x04\x22\x4d\x18\0", "is compressed by lz4: leave that to the producer's compression.type"),
        (b"<event/>", "is XML: send JSON"),
    ],
)
def test_what_a_value_is_that_is_not_json(value: bytes, said: str) -> None:
    assert DECODE(message(value)) == ("not-json", f"the value {said}")
    assert DECODE(message(value, headers=BINARY)) == ("not-json", f"data: the value {said}")


@pytest.mark.parametrize(
    "paid_at", ["2026-02-10T24:00:00Z", "2026-02-10T23:59:60+03:00", "2026-02-30T08:00:00Z", "2026-02-10 25:00:00+03"]
)
def test_a_moment_that_does_not_exist(paid_at: str) -> None:
    said = (
        f"data.paid_at: {paid_at!r} does not exist: hours end at 23, minutes and seconds at 59, days with their month"
    )
    assert decoded(payment(paid_at=paid_at)) == ("invalid-data", said)


def test_an_offset_of_hours_alone_is_the_same_moment() -> None:
    """PostgreSQL writes it so."""
    assert decoded(payment(paid_at="2026-02-10 09:15:00+03")) == decoded(payment(paid_at="2026-02-10T06:15:00Z"))


def test_a_parameter_of_the_content_type_does_not_matter() -> None:
    structured = (("content-type", b"application/cloudevents+json ; charset=utf-8"), ("ce_id", b"\xff"))
    assert DECODE(message(examples.line(invoice()), headers=structured)) == decoded(invoice())
