"""Conflicts are named by key, version and both places, the first of them alone, and only where a batch has any."""

from events.contract.types import Refusal
from projector.consume.batch import Conflict, stage
from projector.consume.conflicts import NAMED_MAX, first_seen, listed, named, names, read
from tests.support.examples import invoice, payment
from tests.unit.projector.test_batch import items_of

ITEMS = items_of(*(invoice(1, 7, f"{n}.00", event_id=f"e{n}") for n in range(8)), payment(1, "1.00"))


def test_an_event_is_named_by_its_key_its_version_and_both_places() -> None:
    found = named(ITEMS, stage(ITEMS).conflicts)
    assert names(found)[0] == "billing.invoices/0@1 and 0@0 (invoice 1, version 1)"
    assert {each.place for each in found} == {("billing.invoices", 0)}


def test_the_other_one_may_have_come_from_no_message() -> None:
    [one] = named(ITEMS, dict(read("payments", [(0, 8, None, None)])))
    assert str(one) == "billing.payments/0@8 and a row of no message (payment 1, version 1)"


def test_the_first_are_named_and_the_others_counted() -> None:
    found = named(ITEMS, stage(ITEMS).conflicts)
    assert len(found) == 7
    line = listed(names(found), len(found))
    assert line.count("(invoice 1, version 1)") == NAMED_MAX
    assert line.endswith("; and 2 more")
    assert listed(names(found[:2]), 2).count("; ") == 1
    assert "more" not in listed(names(found[:2]), 2)


def test_what_was_counted_before_a_position_was_set_back_is_left_out() -> None:
    found = first_seen(named(ITEMS, stage(ITEMS).conflicts), {("billing.invoices", 0): 6})
    assert [each.item.message.offset for each in found] == [6, 7]


def test_a_refusal_is_no_conflict_and_no_conflict_reads_no_item() -> None:
    refused = [item._replace(refusal=Refusal("not-json", "why")) for item in ITEMS]
    assert named(refused, {Conflict("invoices", 0, 1): (0, 0)}) == []
    assert named(iter(()), {}) == []
