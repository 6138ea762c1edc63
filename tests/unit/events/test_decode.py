"""Each rule of the contract, by example."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from events.contract.cloudevents import STRUCTURED_HEADERS
from events.contract.decode import Decoder
from events.contract.types import TYPES, Event, Message, Refusal, topic_of
from tests.support import examples

DECODE = Decoder(currency="KES", topic_prefix="billing")
Headers = tuple[tuple[str, bytes | None], ...]
BINARY: Headers = (
    ("ce_specversion", b"1.0"),
    ("ce_type", b"billing.invoice.issued"),
    ("ce_id", b"a"),
    ("ce_source", b"/tests"),
    ("content-type", b"application/json"),
)


def message(value: bytes | None, topic: str = "billing.invoices", headers: Headers = STRUCTURED_HEADERS) -> Message:
    return Message(topic, 0, 7, 1_700_000_000_000, b"1", value, headers)


def decoded(event: dict[str, Any], **attributes: object) -> Event | Refusal:
    whole = event | attributes
    return DECODE(message(examples.line(whole), topic_of(TYPES.get(whole["type"], "invoices"), "billing")))


def accepted(result: Event | Refusal) -> Event:
    assert isinstance(result, Event), result
    return result


def refused(result: Event | Refusal) -> Refusal:
    assert isinstance(result, Refusal), result
    assert result.detail
    assert len(result.detail) <= 300
    return result


def invoice(money: object = "1250.00", **more: object) -> dict[str, Any]:
    return examples.invoice(1, 2, money, "issued", **more)


def payment(money: str = "5.00", **more: object) -> dict[str, Any]:
    return examples.payment(1, money, "received", meter_id=2, **more)


@pytest.mark.parametrize(
    ("event", "entity"),
    [
        *((examples.invoice(1, 2, "1.00", verb), "invoices") for verb in ("issued", "amended", "voided")),
        *((examples.payment(1, "1.00", verb), "payments") for verb in ("received", "amended", "reversed")),
        *((examples.assigned(1, 2, 3, verb), "assignments") for verb in ("assigned", "unassigned")),
        (examples.customer(1, "Wanjiku"), "customers"),
    ],
)
def test_every_type_of_the_contract_is_accepted(event: dict[str, Any], entity: str) -> None:
    found = accepted(decoded(event))
    assert (found.entity, found.type, found.id, found.source) == (entity, event["type"], "a", "/tests")


def test_absent_and_null_members_are_the_same() -> None:
    given = invoice(due_date=None, customer_id=None, lines=None)
    without = {**given, "data": {name: value for name, value in given["data"].items() if value is not None}}
    assert decoded(given) == decoded(without)
    assert accepted(decoded(without)).data["due_date"] is None


def test_values_keep_what_was_sent() -> None:
    data = accepted(decoded(invoice(money="1250.5", lines=[{"type": "BALANCE", "amount": "-0.00", "unit": 3}]))).data
    assert data["amount"] == "1250.5"
    assert data["invoice_date"] == date(2026, 1, 31)
    assert data["lines"] == [{"type": "BALANCE", "amount": "-0.00"}]


def test_timestamps_are_normalised_to_utc() -> None:
    data = accepted(decoded(payment(paid_at="2026-02-01T01:30:00.25+03:00"))).data
    assert data["paid_at"] == datetime(2026, 1, 31, 22, 30, 0, 250_000, tzinfo=UTC)
    assert data["paid_at"].tzinfo is UTC


@pytest.mark.parametrize("money", ["0", "-0.00", "-40.5", "007", "9999999999999999.99", "-9999999999999999.99"])
def test_an_invoice_may_be_zero_or_a_credit(money: str) -> None:
    assert accepted(decoded(invoice(money=money))).data["amount"] == money


@pytest.mark.parametrize(
    "amount",
    [12.5, 12, True, None, "", "1e3", "+1", "1.", ".5", "1.234", "1,000.00", "NaN", "Infinity", "1.00\n", " 1",
     "\u0661", "12345678901234567", "0x10", ["1.00"], {"value": "1.00"}],
)  # fmt: skip
def test_money_is_a_decimal_string(amount: object) -> None:
    event = invoice()
    event["data"]["amount"] = amount
    reason, detail = refused(decoded(event))
    assert reason == "invalid-data"
    assert detail.startswith("data.amount: ")


@pytest.mark.parametrize("money", ["0", "0.00", "-0.01", "-5", "00.0", "12345678901234567.00"])
def test_a_payment_is_positive(money: str) -> None:
    assert refused(decoded(payment(money=money))).reason == "invalid-data"


@pytest.mark.parametrize("money", ["0.01", "0.10", "000.5", "10", "9999999999999999.99"])
def test_the_smallest_and_largest_payment(money: str) -> None:
    assert accepted(decoded(payment(money=money))).data["amount"] == money


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**400, True, "7", 7.0, 1e3, None, [1]])
@pytest.mark.parametrize("member", ["invoice_id", "version"])
def test_ids_and_versions_are_positive_64_bit_integers(member: str, number: object) -> None:
    event = invoice()
    event["data"][member] = number
    assert refused(decoded(event)).reason == "invalid-data"


def test_the_greatest_version() -> None:
    assert accepted(decoded(invoice(version=2**63 - 1))).data["version"] == 2**63 - 1


@pytest.mark.parametrize(
    "day", ["1699920000", "2026-02-30", "2026-1-1", "20260131", "2026-01-31T00:00:00Z", "0000-01-01"]
)
def test_dates_are_iso_8601(day: str) -> None:
    assert refused(decoded(invoice(invoice_date=day))).detail.startswith("data.invoice_date: ")


@pytest.mark.parametrize(
    "moment",
    ["1700000000", "2026-01-31T08:00:00", "2026-01-31", "2026-01-31T25:00:00Z", "2026-01-31T08:00:00+0",
     "0001-01-01T00:00:00+03:00", "9999-12-31T23:59:59-03:00", 1_700_000_000],
)  # fmt: skip
def test_timestamps_carry_an_offset_and_exist_in_utc(moment: object) -> None:
    assert refused(decoded(payment(paid_at=moment))).detail.startswith("data.paid_at: ")


def test_another_currency_is_refused() -> None:
    assert refused(decoded(invoice(currency="USD"))) == ("wrong-currency", "data.currency: USD is not KES")
    assert isinstance(Decoder("USD", "billing")(message(examples.line(invoice(currency="USD")))), Event)


def test_unassigned_needs_no_time_of_its_own() -> None:
    assert accepted(decoded(examples.assigned(1, 2, 3, "unassigned"))).data["unassigned_at"] is None


def test_unknown_members_are_ignored() -> None:
    event = invoice(colour="green", nested={"a": [1, {"b": None}]}) | {"traceparent": "00-x", "count": 3}
    assert accepted(decoded(event)).data == accepted(decoded(invoice())).data


@pytest.mark.parametrize("name", ["id", "source", "specversion"])
@pytest.mark.parametrize("value", [None, "", 5, "a\x00", "x" * 1001])
def test_attributes_are_required_and_never_invented(name: str, value: object) -> None:
    event = invoice() | {name: value}
    assert refused(decoded(event)).reason == "not-cloudevent"
    del event[name]
    assert refused(decoded(event)) == ("not-cloudevent", f"{name}: is missing")


@pytest.mark.parametrize("kind", ["billing.invoice.forgotten", "", "BILLING.INVOICE.ISSUED", "x" * 5000])
def test_an_unknown_type_is_refused(kind: str) -> None:
    assert refused(decoded(invoice(), type=kind)).reason == "unknown-type"


def test_a_type_on_another_topic_is_refused() -> None:
    value = examples.line(invoice())
    assert refused(DECODE(message(value, "billing.payments"))).reason == "wrong-topic"
    assert refused(DECODE(message(value, "elsewhere.invoices"))).reason == "wrong-topic"


@pytest.mark.parametrize(
    "more", [{"data_base64": "e30="}, {"data": "e30="}, {"data": None}, {"data": [1]}, {"datacontenttype": "text/xml"}]
)
def test_data_is_a_json_object(more: dict[str, object]) -> None:
    assert refused(decoded(invoice(), **more)).reason in {"not-cloudevent", "invalid-data"}


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8", "application/x+JSON"])
def test_json_media_types_are_taken(media_type: str) -> None:
    accepted(decoded(invoice(), datacontenttype=media_type, time=None, subject="s"))


def test_a_tombstone_deletes_nothing() -> None:
    assert refused(DECODE(message(None))).reason == "no-value"


@pytest.mark.parametrize(
    "value",
    [b"", b"null", b"[]", b"7", b"{", b"\xff{}", b"\xef\xbb\xbf{}", b"{} {}", b'{"a":1,}', b"[" * 100_000,
     b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"id":"\\ud800"}', b"{'id': 1}", "{}".encode("utf-16")],
)  # fmt: skip
def test_bytes_that_are_no_json_object(value: bytes) -> None:
    assert refused(DECODE(message(value))).reason in {"not-json", "not-cloudevent"}


@pytest.mark.parametrize(
    ("sound", "broken"),
    [
        (b'"version": 1', b'"version": 2, "version": 1'),
        (b'"version": 1', b'"version": 2, "version" : 1'),
        (b'"version": 1', b'"versi\\u006fn": 2, "version": 1'),
        (b'"amount":', b'"amount": "1.00", "amount":'),
        (b'"id": "a"', b'"id": "b", "id": "a"'),
        (b'"id": "a"', b'"id": "a", "time": null, "time": null'),
        (b'"version": 1', b'"version": 1, "customer_id": null, "customer_id": 5'),
        (b'"version": 1', b'"version": 1, "x": {"y": 1, "y": 2}'),
        (b'"version": 1', b'"version": 1, "x": NaN'),
    ],
)
def test_a_member_given_twice_has_no_one_meaning(sound: bytes, broken: bytes) -> None:
    line = examples.line(invoice())
    assert isinstance(DECODE(message(line)), Event)
    assert sound in line
    assert refused(DECODE(message(line.replace(sound, broken, 1)))).reason == "not-json"


def test_escaped_quotes_and_names_are_no_duplicates() -> None:
    data = accepted(decoded(invoice(invoice_number='"a":"b\\"', lines=[{"type": '":', "amount": "1"}]))).data
    assert data["invoice_number"] == '"a":"b\\"'


def test_postgresql_cannot_store_nul() -> None:
    assert "U+0000" in refused(decoded(invoice(invoice_number="a\x00b"))).detail
    assert "U+0000" in refused(decoded(invoice(lines=[{"type": "\x00", "amount": "1"}]))).detail
