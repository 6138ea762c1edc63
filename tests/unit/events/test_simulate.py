"""Simulated traffic is the same for the same options, holds the contract, and streams."""

import hashlib
import json
import tracemalloc
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import pytest

from events.contract.decode import Decoder
from events.contract.types import KEY_OF, TYPES, Event, Refusal
from events.simulate.options import Options
from events.simulate.poison import BREAKS, KINDS, MONEY_BREAKS, PAYMENT_BREAKS, poisoned
from events.simulate.traffic import WINDOW, simulate, traffic

DECODE = Decoder(currency="KES", topic_prefix="billing")
SMALL = Options(customers=20, meters=40, months=3)
TOWN = Options(customers=1000, meters=2000, months=6)
SMALL_SHA256 = "f33a91f9ada6c99bbe9edbf3b2c86717a45c88a0421ed78236a9061dd84ef3b6"


def accepted(line: bytes) -> Event:
    event = DECODE.structured(line)
    assert isinstance(event, Event), event
    return event


@cache
def town() -> list[bytes]:
    """Return the lines that most tests look at: half a second's work."""
    return list(simulate(TOWN))


def digest(options: Options) -> str:
    return hashlib.sha256(b"\n".join(simulate(options))).hexdigest()


def test_the_same_options_give_the_same_bytes_on_every_machine() -> None:
    everything = replace(SMALL, voids=0.1, duplicates=0.1, shuffle=0.3, poison=0.1)
    assert digest(everything) == SMALL_SHA256
    assert digest(replace(everything, seed=2)) != SMALL_SHA256


def test_every_event_is_accepted_and_every_type_occurs() -> None:
    found = Counter(accepted(line).type for line in town())
    assert found.keys() == TYPES.keys()
    assert found["billing.invoice.issued"] == TOWN.meters * TOWN.months


def test_event_ids_and_versions_are_unique() -> None:
    events = [accepted(line) for line in town()]
    assert len({event.id for event in events}) == len(events)
    versions = {(event.entity, event.data[KEY_OF[event.entity]], event.data["version"]) for event in events}
    assert len(versions) == len(events)


def test_the_awkward_cases_occur() -> None:
    data: list[dict[str, Any]] = [json.loads(line)["data"] for line in town()]
    payments = [each for each in data if "payment_id" in each]
    invoices = [each for each in data if "invoice_id" in each and "payment_id" not in each]
    assert any("meter_id" not in each and "invoice_id" in each for each in payments)
    assert any("meter_id" not in each and "invoice_id" not in each for each in payments)
    assert any("meter_id" not in each for each in invoices)
    assert any("lines" not in each for each in invoices)
    assert any(each["amount"].startswith("-") for each in invoices)
    assert any(line["type"] == "BALANCE" for each in invoices for line in each.get("lines", ()))
    meters_of: dict[int, set[int]] = {}
    for each in invoices:
        meters_of.setdefault(each["invoice_id"], set()).add(each.get("meter_id", 0))
    assert any(len(meters) > 1 for meters in meters_of.values())


def test_lines_add_up_to_the_amount_and_the_debt_brought_forward() -> None:
    for line in town():
        data = accepted(line).data
        if not data.get("lines"):
            continue
        cents = Counter[bool]()
        for each in data["lines"]:
            cents[each["type"] == "BALANCE"] += int(each["amount"].replace(".", ""))
        assert cents[False] == int(data["amount"].replace(".", ""))
        assert cents[True] == int((data["balance_brought_forward"] or "0.00").replace(".", ""))


def test_keys_are_the_meters_else_the_entitys_own() -> None:
    for sent in traffic(replace(TOWN, months=1)):
        data = json.loads(sent.line)["data"]
        assert sent.key == str(data.get("meter_id") or data[KEY_OF[sent.entity]]).encode()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_duplicates_are_the_share_asked_for(share: float) -> None:
    sound = Counter(town())
    repeated = Counter(simulate(replace(TOWN, duplicates=share)))
    assert repeated.keys() == sound.keys()
    assert (repeated.total() - sound.total()) / sound.total() == pytest.approx(share, rel=0.1)


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_shuffling_loses_nothing_and_displaces_the_share_asked_for(share: float) -> None:
    sound = town()
    shuffled = list(simulate(replace(TOWN, shuffle=share)))
    assert shuffled != sound
    assert sorted(shuffled) == sorted(sound)
    place = {line: number for number, line in enumerate(sound)}
    order = [place[line] for line in shuffled]
    late = sum(number < most for number, most in zip(order, _running_maximum(order), strict=True))
    assert share / 2 < late / len(order) <= share


def test_voids_are_the_share_asked_for() -> None:
    found = Counter(accepted(line).type for line in simulate(replace(TOWN, voids=0.2)))
    assert found["billing.invoice.voided"] / found["billing.invoice.issued"] == pytest.approx(0.2, rel=0.1)
    assert found["billing.payment.reversed"] / found["billing.payment.received"] == pytest.approx(0.2, rel=0.1)


def test_poison_is_added_and_always_refused() -> None:
    results = [DECODE.structured(line) for line in simulate(replace(TOWN, poison=0.1))]
    refused = [each for each in results if isinstance(each, Refusal)]
    assert len(refused) / (len(results) - len(refused)) == pytest.approx(0.1, rel=0.1)
    assert {each.reason for each in refused} == {
        "not-json", "not-cloudevent", "unknown-type", "invalid-data", "wrong-currency",
    }  # fmt: skip


@pytest.mark.parametrize("name", [*BREAKS, *MONEY_BREAKS, *PAYMENT_BREAKS])
def test_each_kind_of_poison_breaks_an_event(name: str) -> None:
    breaks = {**BREAKS, **MONEY_BREAKS, **PAYMENT_BREAKS}[name]
    payment = next(sent for sent in traffic(SMALL) if sent.entity == "payments")
    broken = breaks(payment.line)
    assert broken.strip()
    assert b"\n" not in broken
    assert isinstance(DECODE.structured(broken), Refusal)


def test_every_kind_can_be_drawn() -> None:
    sent = next(sent for sent in traffic(SMALL) if sent.entity == "payments")
    kinds = len(KINDS["payments"])
    assert len({poisoned(sent, (number + 0.5) / kinds).line for number in range(kinds)}) == kinds
    assert poisoned(sent, 0.999_999).line != sent.line


def test_a_limit_stops_early_and_months_may_cross_years() -> None:
    assert len(list(simulate(replace(SMALL, events_max=7)))) == 7
    assert not list(simulate(replace(SMALL, events_max=0)))
    for line in simulate(replace(SMALL, customers=1, meters=1, months=30)):
        accepted(line)


def test_events_are_never_held_beyond_the_window() -> None:
    stream = simulate(replace(TOWN, months=60, duplicates=1.0, shuffle=1.0))
    tracemalloc.start()
    try:
        assert sum(1 for _ in islice(stream, 2 * WINDOW)) == 2 * WINDOW
        with_full_windows = tracemalloc.get_traced_memory()[1]
        assert sum(1 for _ in islice(stream, 3 * WINDOW)) == 3 * WINDOW
        much_later = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert much_later < 1.2 * with_full_windows


def _running_maximum(numbers: list[int]) -> list[int]:
    most, result = -1, []
    for number in numbers:
        most = max(most, number)
        result.append(most)
    return result
