"""Tallies add up chunk by chunk and come back from the database as they went in."""

from decimal import Decimal

from backfill.runs.phases import PHASES, TRANSITIONS
from backfill.runs.tally import FAILURES_MAX, JSON, Tally, failure


def test_sums() -> None:
    one = Tally(customers=2, balance_after=Decimal("0.10"), seconds=0.5) + failure("customers", 1, 9, "no")
    both = one + Tally(customers=3, balance_after=Decimal("0.20"))
    assert (both.customers, both.balance_after, both.failed) == (5, Decimal("0.30"), 1)
    assert both.failures[0].reason == "no"


def test_failures_are_all_counted_and_some_kept() -> None:
    total = Tally()
    for key in range(FAILURES_MAX + 5):
        total += failure("meters", key, key, "no")
    assert (total.failed, len(total.failures)) == (FAILURES_MAX + 5, FAILURES_MAX)


def test_stored_without_loss() -> None:
    tally = Tally(balance_before=Decimal("9999999999999999.99"), customers=1) + failure("meters", 1, 2, "no")
    assert JSON.validate_json(JSON.dump_json(tally)) == tally


def test_every_state_can_be_left_or_is_the_end() -> None:
    assert {state for states in TRANSITIONS.values() for state in states} == TRANSITIONS.keys()
    assert [state for state, following in TRANSITIONS.items() if not following] == ["cancelled", "finished"]


def test_a_rebuild_begins_with_the_check() -> None:
    check, rebuild = PHASES["drift-check"], PHASES["rebuild"]
    assert rebuild[: len(check) - 1] == check[:-1]
    assert {phases[-1] for phases in PHASES.values()} == {"done"}
