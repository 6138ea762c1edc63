"""The races the locks were written for, each played at every statement and in both roles."""

from typing import Final, NamedTuple

import pytest
from sqlalchemy import Engine

from tests.support.examples import CloudEvent, assigned, invoice, payment
from tests.support.interleaving import NEVER, STATEMENTS_MAX, play
from tests.support.merge_harness import MergeHarness, disagreement, empty

LATER: Final = "2026-05-01T00:00:00Z"


class Race(NamedTuple):
    """What is applied beforehand, and the two batches that meet."""

    before: list[CloudEvent]
    one: list[CloudEvent]
    other: list[CloudEvent]


THREE_MONTHS: Final = [invoice(n, 1, "10.00", invoice_date=f"2026-0{n}-28") for n in (1, 2, 3)]
THREE_RECEIPTS: Final = [payment(n, "10.00", meter_id=1, paid_at=f"2026-0{n}-28T00:00:00Z") for n in (1, 2, 3)]

RACES: Final = {
    "a payment and the invoice it waits for": Race(
        [], [payment(1, "4.00", invoice_id=1)], [invoice(1, 1, "10.00"), assigned(1, 1, 7)]
    ),
    "two payments of an invoice that is not there": Race(
        [], [payment(1, "4.00", invoice_id=1)], [payment(2, "5.00", invoice_id=1)]
    ),
    "a payment and its invoice's move": Race(
        [invoice(1, 1, "10.00")], [payment(1, "4.00", invoice_id=1)], [invoice(1, 2, "10.00", "amended", version=2)]
    ),
    "a payment and another amount of its invoice": Race(
        [invoice(1, 1, "10.00")], [payment(1, "4.00", invoice_id=1)], [invoice(1, 1, "11.00", "amended", version=2)]
    ),
    "a payment and its invoice's void": Race(
        [invoice(1, 1, "10.00")], [payment(1, "4.00", invoice_id=1)], [invoice(1, 1, "10.00", "voided", version=2)]
    ),
    "a payment and its invoice once more": Race(
        [invoice(1, 1, "10.00")], [payment(1, "4.00", invoice_id=1)], [invoice(1, 1, "10.00")]
    ),
    "a payment and its invoice, which moves, in one batch, and another payment": Race(
        [invoice(1, 1, "10.00"), payment(1, "4.00", invoice_id=1)],
        [invoice(1, 2, "10.00", "amended", version=2), payment(2, "5.00", invoice_id=1)],
        [payment(3, "6.00", invoice_id=1), payment(1, "4.00", "reversed", invoice_id=1, version=2)],
    ),
    "an invoice's move there, and its move back": Race(
        [invoice(1, 1, "10.00"), payment(1, "4.00", invoice_id=1)],
        [invoice(1, 2, "10.00", "amended", version=2)],
        [invoice(1, 1, "10.00", "amended", version=3)],
    ),
    "an invoice's move, and a late payment of where it was": Race(
        [invoice(1, 1, "10.00"), payment(1, "4.00", invoice_id=1)],
        [invoice(1, None, "10.00", "amended", version=2)],
        [payment(2, "5.00", invoice_id=1), invoice(1, 1, "12.00", "amended", version=1, event_id="b")],
    ),
    "a payment's change of invoice and the old invoice's move": Race(
        [invoice(1, 1, "10.00"), invoice(2, 2, "10.00"), payment(1, "4.00", invoice_id=1)],
        [payment(1, "4.00", "amended", invoice_id=2, version=2)],
        [invoice(1, 3, "10.00", "amended", version=2)],
    ),
    "a payment's change of invoice and the new invoice's move": Race(
        [invoice(1, 1, "10.00"), invoice(2, 2, "10.00"), payment(1, "4.00", invoice_id=1)],
        [payment(1, "4.00", "amended", invoice_id=2, version=2)],
        [invoice(2, 3, "10.00", "amended", version=2)],
    ),
    "a payment that learns its meter and its invoice's move": Race(
        [invoice(1, 1, "10.00"), payment(1, "4.00", invoice_id=1)],
        [payment(1, "4.00", "amended", invoice_id=1, meter_id=3, version=2)],
        [invoice(1, 2, "10.00", "voided", version=2)],
    ),
    "a payment that forgets its meter and its invoice's arrival": Race(
        [payment(1, "4.00", invoice_id=1, meter_id=3)],
        [payment(1, "4.00", "amended", invoice_id=1, version=2)],
        [invoice(1, 2, "10.00")],
    ),
    "a reversal and its invoice's move": Race(
        [invoice(1, 1, "10.00"), payment(1, "4.00", invoice_id=1)],
        [payment(1, "4.00", "reversed", invoice_id=1, version=2)],
        [invoice(1, 2, "10.00", "amended", version=2)],
    ),
    "two followers that learn their meter, and their invoice with one of them": Race(
        [invoice(1, 1, "10.00"), payment(1, "4.00", invoice_id=1), payment(2, "4.00", invoice_id=1)],
        [invoice(1, 2, "10.00", "amended", version=2), payment(2, "5.00", "amended", invoice_id=1, version=2)],
        [payment(key, "6.00", "amended", invoice_id=1, meter_id=3, version=3) for key in (1, 2)],
    ),
    "an end and a beginning of assignments": Race(
        [assigned(1, 1, 7), invoice(1, 1, "10.00")],
        [assigned(1, 1, 7, "unassigned", version=2, unassigned_at=LATER)],
        [assigned(2, 1, 8, assigned_at=LATER)],
    ),
    "two assignments of one instant": Race(
        [invoice(1, 1, "10.00")], [assigned(2, 1, 8)], [assigned(1, 1, 7), invoice(2, 1, "5.00")]
    ),
    "one assignment moved to two meters": Race(
        [assigned(1, 1, 7), invoice(1, 1, "10.00"), invoice(2, 2, "20.00"), invoice(3, 3, "40.00")],
        [assigned(1, 2, 7, version=2)],
        [assigned(1, 3, 8, version=3)],
    ),
    "a re-assignment and an invoice of that meter": Race(
        [assigned(1, 1, 7), payment(1, "4.00", meter_id=1)],
        [assigned(2, 1, 8, assigned_at=LATER)],
        [invoice(1, 1, "9")],
    ),
    "voids of the latest and of the second latest": Race(
        THREE_MONTHS,
        [invoice(3, 1, "10.00", "voided", invoice_date="2026-03-28", version=2)],
        [invoice(2, 1, "10.00", "voided", invoice_date="2026-02-28", version=2)],
    ),
    "a void of the latest and a later one": Race(
        THREE_MONTHS,
        [invoice(3, 1, "10.00", "voided", invoice_date="2026-03-28", version=2)],
        [invoice(4, 1, "10.00", invoice_date="2026-04-28")],
    ),
    "a re-dating of the latest and its move": Race(
        THREE_MONTHS,
        [invoice(3, 1, "10.00", "amended", invoice_date="2025-01-01", version=2)],
        [invoice(3, 2, "10.00", "amended", invoice_date="2026-03-28", version=3)],
    ),
    "reversals of the latest and of the second latest": Race(
        THREE_RECEIPTS,
        [payment(3, "10.00", "reversed", meter_id=1, paid_at="2026-03-28T00:00:00Z", version=2)],
        [payment(2, "10.00", "reversed", meter_id=1, paid_at="2026-02-28T00:00:00Z", version=2)],
    ),
    "one new key in two versions": Race(
        [assigned(1, 1, 7), assigned(2, 2, 7)], [invoice(1, 1, "10.00")], [invoice(1, 2, "20.00", version=2)]
    ),
    "one new key in one version under two ids": Race(
        [], [payment(1, "10.00", meter_id=1, event_id="\U0001f600")], [payment(1, "20.00", meter_id=1, event_id="￮")]
    ),
    "the same events twice": Race([], [*THREE_MONTHS, assigned(1, 1, 7)], [assigned(1, 1, 7), *THREE_MONTHS]),
    "the same meters and customers in opposite orders": Race(
        [assigned(1, 1, 8), assigned(2, 2, 7)],
        [invoice(4, 1, "1.00"), invoice(1, 2, "2.00"), payment(4, "9.00", invoice_id=2)],
        [invoice(3, 2, "4.00"), invoice(2, 1, "8.00"), payment(3, "9.00", invoice_id=1)],
    ),
    "debt on one side of zero and credit on the other": Race(
        [assigned(1, 1, 7)], [invoice(1, 1, "10.00")], [payment(1, "30.00", meter_id=1)]
    ),
}


@pytest.mark.parametrize("name", RACES)
def test_a_race_ends_in_the_oracles_state_wherever_the_first_is_held(
    engine: Engine, harnesses: tuple[MergeHarness, MergeHarness], name: str
) -> None:
    race = RACES[name]
    for first, second in ((race.one, race.other), (race.other, race.one)):
        for point in range(1, STATEMENTS_MAX + 1):
            empty(engine)
            for harness in harnesses:
                harness.begin()
            harnesses[0].apply(race.before)
            met, came = play(engine, (harnesses[0], first, point), (harnesses[1], second, NEVER))
            wrong = disagreement(engine, race.before + first + second)
            assert not wrong, f"{met} after statement {point}, the other was {came}:\n{wrong}"
            if met == "done":  # it has no more statements
                break


def test_a_payment_that_waits_for_its_invoice_leaves_no_invoice_behind(
    engine: Engine, harnesses: tuple[MergeHarness, MergeHarness]
) -> None:
    payments = [payment(1, "4.00", invoice_id=1), payment(2, "5.00", invoice_id=1)]
    _, came = play(engine, (harnesses[0], payments[:1], STATEMENTS_MAX), (harnesses[1], payments[1:], NEVER))
    assert came == "done"
    assert not disagreement(engine, payments)
