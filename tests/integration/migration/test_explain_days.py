"""The statement of some days: the balance on the last of them, whose the meter was then, and what lies outside."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from psycopg import Connection

from backfill.explain.explain import explain, print_statement
from events.runtime.console import Format
from events.runtime.settings import Settings
from tests.support.examples import assigned, customer, invoice, payment
from tests.support.merge_harness import MergeHarness

Said = Callable[..., str]

OVER = "2026-02-19T21:30:00Z"  # 00:30 of the next day in Nairobi
EVENTS = [
    customer(1, "Wanjiku"), customer(2, "Otieno"),
    assigned(1, 42, 1, "unassigned", unassigned_at=OVER), assigned(2, 42, 2, assigned_at=OVER),
    invoice(1, 42, "1500.50", invoice_date="2026-01-31"), invoice(2, 42, "9.00", "voided", invoice_date="2026-01-15"),
    payment(1, "1000.00", meter_id=42, paid_at="2026-03-05T10:00:00Z"),
    payment(2, "7.00", "reversed", meter_id=42, paid_at="2026-03-06T10:00:00Z"),
]  # fmt: skip
OPENING = (
    "On {} the balance was KES 1,500.50.\n"
    "After {}: 1 more entry, -KES 1,000.00 in total.\n"
    "The balance is now KES 500.50 by history, and recorded as such.\n"
)


@pytest.fixture
def said(
    harness: MergeHarness, settings: Settings, auditor: Connection[Any], capsys: pytest.CaptureFixture[str]
) -> Said:
    """Print the statement of meter 42 from a day to a day."""
    harness.apply(EVENTS)

    def say(since: str | None, at: str | None, form: Format = Format.TABLE) -> str:
        days = (None if each is None else date.fromisoformat(each) for each in (since, at))
        print_statement(settings, explain(settings, auditor, 42, *days), form)
        return capsys.readouterr().out

    return say


def test_the_balance_on_the_last_day_comes_first_then_what_came_after_then_that_of_today(said: Said) -> None:
    day = "2026-02-20"
    assert said(None, day).startswith(OPENING.format(day, day))
    assert said(None, "2026-03-05").startswith(
        "On 2026-03-05 the balance was KES 500.50.\nThe balance is now KES 500.50 by history, and recorded as such.\n"
    )


def test_the_customer_is_that_of_the_last_day(said: Said) -> None:
    before, on, ever = said(None, "2026-02-19"), said(None, "2026-02-20"), said(None, None)
    assert "\nNow: customer 2, Otieno.\n" in before
    assert "\nMeter 42 on 2026-02-19: customer 1, Wanjiku\n" in before
    assert "\nMeter 42 on 2026-02-20: customer 2, Otieno\n" in on
    assert "\nMeter 42: customer 2, Otieno\n" in ever
    assert "Now:" not in on + ever
    assert "\nMeter 42 on 2025-12-31: no active customer\n" in said(None, "2025-12-31")
    document = json.loads(said(None, "2026-02-19", Format.JSON))
    assert document["customer_at"] == {"customer_id": 1, "name": "Wanjiku"}
    assert document["customer_id"] == 2
    assert json.loads(said(None, None, Format.JSON))["customer_at"] is None


def test_an_assignment_that_ended_without_a_date_or_was_loaded_by_hand_decides_by_what_is_known(
    said: Said, harness: MergeHarness
) -> None:
    harness.apply([assigned(3, 42, 9, "unassigned", assigned_at="2026-02-01T00:00:00Z")])
    assert "2026-02-10: customer 1, Wanjiku\n" in said(None, "2026-02-10")
    load = (
        "INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, unassigned_at, active)"
        " VALUES (4, 42, 8, '2026-02-02', '2026-02-05', false), (5, 42, 7, '2026-02-11', NULL, false)"
    )
    with harness.connection.transaction():
        harness.connection.execute(load)
    days = ("2026-02-04", "2026-02-05", "2026-02-12")
    assert [json.loads(said(None, day, Format.JSON))["customer_at"]["customer_id"] for day in days] == [8, 1, 1]
    with harness.connection.transaction():
        harness.connection.execute("UPDATE meter_assignments SET active = true WHERE assignment_id = 5")
    assert json.loads(said(None, "2026-02-12", Format.JSON))["customer_at"]["customer_id"] == 7


def test_what_does_not_count_is_listed_for_the_days_alone(said: Said) -> None:
    left_out = "Not counted and outside these days: {}."
    every, none, late = said(None, None), said("2026-02-01", "2026-02-28"), said("2026-02-01", None)
    assert all(words in every for words in ("Not Counted\n", "invoice 2", "payment 2"))
    assert "outside these days" not in every
    assert "Not Counted\n" not in none
    assert left_out.format("2 rows") in none
    assert "invoice 2" not in late
    assert "payment 2" in late
    assert left_out.format("1 row") in late
    document = json.loads(said("2026-02-01", None, Format.JSON))
    assert [each["id"] for each in document["not_counted"]] == [2]
    assert document["not_counted_outside"] == 1
