"""A member that nearly has the name of one the event lacks, or stands beside `data`, is named; others are ignored."""

import json
import os

import pytest

from events.contract.decode import Decoder
from events.contract.types import Event, Refusal
from events.misspellings import NAMED_MAX, instead_of_missing, misspelled
from tests.conftest import RunCommand
from tests.support import examples
from tests.support.examples import CloudEvent

INVOICE = examples.invoice(1, None, "1.00")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("meterid", "meter_id"), ("meterId", "meter_id"), ("METER-ID", "meter_id"), ("metr_id", "meter_id"),
        ("customerid", "customer_id"), ("due_data", "due_date"), ("line", "lines"),
        ("balance_brought_foward", "balance_brought_forward"), ("invoice_numbr", "invoice_number"),
        ("meter", "meter_id"), ("customer", "customer_id"), ("customer_no", None), ("region", None),
        ("", None), ("é" * 5000, None), ("amount_", None),
    ],
)  # fmt: skip
def test_what_was_probably_meant(given: str, meant: str | None) -> None:
    assert _misspelled(_with(INVOICE, {given: 7})) == ([] if meant is None else [(f"data.{given}", meant)])


def test_a_member_that_is_there_was_not_misspelled_and_one_that_is_null_was() -> None:
    assert _misspelled(_with(examples.invoice(1, 7, "1.00"), {"meterid": 8})) == []
    assert _misspelled(_with(INVOICE, {"meter_id": None, "meterid": 8})) == [("data.meterid", "meter_id")]
    assert _misspelled(_with(examples.payment(1, "1.00"), {"refrence": "x", "invoiceId": 2})) == [
        ("data.refrence", "reference"), ("data.invoiceId", "invoice_id"),
    ]  # fmt: skip


def test_a_member_beside_data_is_misplaced_unless_it_is_in_data_too_or_may_be_an_attribute() -> None:
    beside = {"meter_id": 7, "reference": "x", "trace_id": "t", "data_base64": None}
    assert _misspelled(INVOICE | beside) == [("meter_id", "data.meter_id")]
    assert _misspelled(examples.invoice(1, 7, "1.00") | beside) == []
    assert _misspelled(examples.payment(1, "1.00", meter_id=7) | beside) == [], "reference may be an attribute"


@pytest.mark.parametrize(
    ("left_out", "given", "meant"),
    [
        ("amount", "ammount", "data.ammount"), ("amount", "Amount", "data.Amount"),
        ("invoice_id", "invoiceId", "data.invoiceId"),
        ("invoice_date", "due_date", None), ("amount", "total", None), ("amount", "é" * 5000, None),
    ],
)  # fmt: skip
def test_a_required_member_that_is_misspelled_is_named(left_out: str, given: str, meant: str | None) -> None:
    event = _with(INVOICE, {given: INVOICE["data"][left_out]})
    del event["data"][left_out]
    assert _instead(event) == ("" if meant is None else f" (is {meant} meant for it?)")


@pytest.mark.parametrize(
    ("left_out", "given", "meant"),
    [("data", "dat", "dat"), ("type", "typ", "typ"), ("type", "time", None), ("id", "ID", "ID")],
)
def test_and_so_is_an_attribute(left_out: str, given: str, meant: str | None) -> None:
    event = {name: value for name, value in INVOICE.items() if name != left_out} | {given: INVOICE[left_out]}
    assert _instead(event) == ("" if meant is None else f" (is {meant} meant for it?)")


def test_where_nothing_is_missing_or_nothing_can_be_read_nothing_is_named() -> None:
    missing = Refusal("invalid-data", "data.amount: is missing")
    assert instead_of_missing(Refusal("invalid-data", "data.amount: is no amount"), b'{"data": {"ammount": 1}}') == ""
    for value in (b"[]", b"no json", b'{"data": 7}', b"{}"):
        assert instead_of_missing(missing, value) == ""


def test_the_first_are_named_by_line_and_the_others_counted(run_command: RunCommand) -> None:
    """The warnings change neither the exit code nor what is printed as the result."""
    wrong = examples.line(_with(INVOICE, {"meterid": 7}))
    lines = b"\n".join([examples.line(INVOICE), *[wrong] * (NAMED_MAX + 1)]).decode()
    done = run_command("events", "publish", "-", "--dry-run", "--format", "json", env=os.environ, stdin=lines)
    assert (done.exit_code, json.loads(done.stdout)["valid"]) == (0, NAMED_MAX + 2)
    assert done.stderr.splitlines() == [
        *(
            f"standard input:{number}: warning: data.meterid is ignored: did you mean meter_id?"
            for number in range(2, NAMED_MAX + 2)
        ),
        "standard input: warning: 21 members may be misspelled, of which the first 20 are named",
    ]


def _with(event: CloudEvent, more: dict[str, object]) -> CloudEvent:
    return event | {"data": event["data"] | more}


def _misspelled(event: CloudEvent) -> list[tuple[str, str]]:
    value = examples.line(event)
    decoded = Decoder("KES", "billing").structured(value)
    assert isinstance(decoded, Event), decoded
    return list(misspelled(decoded, value))


def _instead(event: CloudEvent) -> str:
    """Return what a refused event may have meant."""
    value = examples.line(event)
    refusal = Decoder("KES", "billing").structured(value)
    assert isinstance(refusal, Refusal)
    return instead_of_missing(refusal, value)
