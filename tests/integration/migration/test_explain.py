"""The statement of one meter: every line, where it came from, and what isn't counted and why."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from psycopg import Connection

from backfill.explain.explain import explain, print_statement
from backfill.explain.statement import Ahead
from backfill.migration.payment_meter_ids import STEP
from events.runtime.console import Format
from events.runtime.errors import InputError
from events.runtime.settings import Settings
from tests.integration.migration.conftest import Do
from tests.support.examples import assigned, customer, invoice, payment
from tests.support.merge_harness import MergeHarness

EVENTS = [
    assigned(1, 1, 7), customer(7, "Ada [bold]"),
    invoice(1, 1, "100.00", invoice_date="2026-01-31", invoice_number="INV-1"),
    invoice(2, 1, "50.00", invoice_date="2026-02-28", balance_brought_forward="100.00"),
    invoice(3, 1, "9.00", "voided", invoice_date="2026-02-01"),
    invoice(4, 2, "9.00"),
    # 21:30 UTC on the last of January is the first of February in Nairobi
    payment(1, "30.00", meter_id=1, paid_at="2026-01-31T21:30:00Z", method="MPESA", reference="QX1"),
    payment(2, "20.00", invoice_id=2, paid_at="2026-02-28T10:00:00Z"),
    payment(3, "5.00", customer_id=7, paid_at="2026-03-01T10:00:00Z"),
    payment(4, "2.00", "reversed", meter_id=1),
    payment(5, "1.00", "reversed", invoice_id=1),
]  # fmt: skip

AHEAD = "2099-12-31T21:59:59Z"
MIDNIGHT = "2099-12-31T21:00:00Z"


@pytest.fixture
def filled(harness: MergeHarness, do: Do) -> MergeHarness:
    harness.apply(EVENTS)
    do(STEP)
    return harness


@pytest.mark.usefixtures("filled")
def test_each_line_has_its_day_its_running_balance_and_its_place(settings: Settings, auditor: Connection[Any]) -> None:
    found = explain(settings, auditor, 1, None, None)
    assert [(each.day, each.kind, each.id, each.amount, balance) for each, balance in found.entries] == [
        ("2026-01-31", "invoice", 1, Decimal(100), Decimal(100)),
        ("2026-02-01", "payment", 1, Decimal(-30), Decimal(70)),
        ("2026-02-28", "invoice", 2, Decimal(50), Decimal(120)),
        ("2026-02-28", "payment", 2, Decimal(-20), Decimal(100)),
        ("2026-03-01", "payment", 3, Decimal(-5), Decimal(95)),
    ]
    lines = {(each.kind, each.id): each for each, _ in found.entries}
    assert lines["payment", 1].reference == "MPESA QX1"
    assert lines["payment", 2].through_invoice_id == 2
    assert lines["payment", 3].allocated
    assert [each.source_offset for each, _ in found.entries] == [0, 0, 1, 1, 2]
    assert [found.closing, found.meter.balance, found.difference] == [95, 95, 0]
    assert [(each.kind, each.id, each.reason) for each in found.excluded] == [
        ("invoice", 3, "voided"), ("payment", 4, "reversed"), ("payment", 5, "reversed"),
    ]  # fmt: skip


@pytest.mark.usefixtures("filled")
def test_days_are_business_days_and_cut_the_statement(settings: Settings, auditor: Connection[Any]) -> None:
    day = date(2026, 2, 1)
    found = explain(settings, auditor, 1, day, day)
    assert [found.opening, *(each.id for each, _ in found.entries), found.closing] == [100, 1, 70]
    assert [len(found.later), found.expected] == [3, 95]
    elsewhere = settings.model_copy(update={"timezone": "UTC"})
    assert explain(elsewhere, auditor, 1, day, day).opening == 70


def test_a_row_changed_outside_the_stream_is_told_beside_its_line(
    filled: MergeHarness, settings: Settings, auditor: Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with filled.connection.transaction():
        filled.connection.execute("UPDATE invoices SET amount = 110 WHERE invoice_id = 1")
        filled.connection.execute("UPDATE payments SET meter_id = 2 WHERE payment_id = 1")
    found = explain(settings, auditor, 1, None, None)
    assert found.difference == 40
    print_statement(settings, found, Format.TABLE)
    printed = " ".join(capsys.readouterr().out.split())
    assert "the recorded balance counts +KES 100.00 of it" in printed
    assert "is at meter 2" in printed
    assert "The balance is KES 135.00 by history, but recorded as KES 95.00: a difference of +KES 40.00." in printed
    assert "Ada [bold]" in printed, "a name is text, never markup"


def test_rows_that_contradict_their_marks_are_told_though_the_sums_agree(
    filled: MergeHarness, settings: Settings, auditor: Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with filled.connection.transaction():
        filled.connection.execute("UPDATE invoices SET amount = 150 - amount WHERE invoice_id IN (1, 2)")
        filled.connection.execute("UPDATE invoices SET projected_meter_id = 1 WHERE invoice_id = 3")
    found = explain(settings, auditor, 1, None, None)
    assert [found.difference, found.contradicting_rows] == [0, 3]
    print_statement(settings, found, Format.TABLE)
    printed = " ".join(capsys.readouterr().out.split())
    assert "The balance is KES 95.00 by history, and recorded as such, but the marks of 3 rows differ" in printed
    print_statement(settings, found, Format.JSON)
    document = json.loads(capsys.readouterr().out)
    assert document["contradicting_rows"] == 3
    assert [each["id"] for each in document["not_counted"] if each["contradicts"]] == [3]


def test_deleted_rows_are_told_by_the_counts(
    filled: MergeHarness, settings: Settings, auditor: Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    begins = "The balance is {} by history, but recorded as KES 95.00: "
    one, two = (f"the recorded balance counts {words} that history does not have." for words in (
        "1 payment of KES 30.00", "2 payments of KES 35.00 in total",
    ))  # fmt: skip
    for where, said, lacking in (
        ("payments WHERE payment_id = 1", begins.format("KES 125.00") + one, ("payment", 1, "30.00")),
        ("payments WHERE payment_id = 3", begins.format("KES 130.00") + two, ("payment", 2, "35.00")),
        ("invoices WHERE invoice_id = 1", begins.format("KES 30.00") + "a difference of -KES 65.00.", None),
    ):
        with filled.connection.transaction():
            filled.connection.execute(f"DELETE FROM {where}")
        found = explain(settings, auditor, 1, None, None)
        print_statement(settings, found, Format.TABLE)
        assert capsys.readouterr().out.startswith(f"{said} `backfill drift-check` names the cause.\n")
        print_statement(settings, found, Format.JSON)
        document = json.loads(capsys.readouterr().out)["lacking"]
        assert document == (lacking and dict(zip(("kind", "rows", "amount"), lacking, strict=True)))


def test_a_credit_that_came_with_the_meter_is_told_first(
    harness: MergeHarness, settings: Settings, auditor: Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    over = "2026-02-19T21:30:00Z"  # the next day in Nairobi
    harness.apply([
        invoice(1, 42, "500.00", invoice_date="2026-01-31"),
        payment(1, "600.00", meter_id=42, paid_at="2026-02-10T09:15:00+03:00"),
        assigned(1, 42, 1, "unassigned", version=2, unassigned_at=over),
        assigned(2, 42, 2, assigned_at=over),
        invoice(2, 42, "1.00", invoice_date="2026-02-20"),
    ])  # fmt: skip
    found = explain(settings, auditor, 42, None, None)
    print_statement(settings, found, Format.TABLE)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "The balance is -KES 99.00 (a credit) by history, and recorded as such."
    goes_with = "The meter's balance goes with the meter: credit of KES 100.00 from before 2026-02-20 counts for"
    assert second == f"{goes_with} customer 2 now."
    print_statement(settings, found, Format.JSON)
    over_document = json.loads(capsys.readouterr().out)["handed_over"]
    assert over_document == {"customer_id": 2, "day": "2026-02-20", "balance": "-100.00"}


@pytest.mark.usefixtures("filled")
def test_the_document_holds_money_as_strings_and_every_place(
    settings: Settings, auditor: Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_statement(settings, explain(settings, auditor, 1, None, date(2026, 2, 28)), Format.JSON)
    document = json.loads(capsys.readouterr().out)
    assert (document["closing_balance"], document["recorded_balance"], document["at"]) == (
        "100.00", "95.00", "2026-02-28",
    )  # fmt: skip
    first = document["entries"][0]
    assert (first["topic"], first["partition"], first["offset"]) == (f"{settings.topic_prefix}.invoices", 0, 0)
    assert [each["reason"] for each in document["not_counted"]] == ["voided", "reversed", "reversed"]


def test_an_import_is_no_place_on_a_topic_and_far_dates_are_shown(
    harness: MergeHarness, settings: Settings, auditor: Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with harness.connection.transaction():
        harness.connection.execute(
            "INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date)"
            " VALUES (1, 5, 10, 'KES', '5874897-12-31'), (2, 5, 10, 'KES', '44000-01-01')"
        )
    found = explain(settings, auditor, 5, None, date(9999, 12, 31))
    assert (len(found.entries), len(found.later)) == (0, 2)
    print_statement(settings, explain(settings, auditor, 5, None, None), Format.TABLE)
    assert capsys.readouterr().out.count("not from the stream") == 2


def test_an_unknown_meter_and_days_the_wrong_way_round_are_one_line(
    settings: Settings, auditor: Connection[Any]
) -> None:
    with pytest.raises(InputError, match="--meter 99: no invoice"):
        explain(settings, auditor, 99, None, None)
    with pytest.raises(InputError, match="--since 2026-02-02 is after --at 2026-02-01"):
        explain(settings, auditor, 99, date(2026, 2, 2), date(2026, 2, 1))


@pytest.mark.usefixtures("filled")
def test_a_customer_ahead_is_said_with_its_day_and_its_time_but_midnight(
    settings: Settings, auditor: Connection[Any], harness: MergeHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    """23:30 UTC is the next day in Nairobi."""
    moves = {"assigned_at": "2099-12-03T23:30:00Z"}, {"assigned_at": "2099-12-03T23:30:00Z", "unassigned_at": AHEAD}
    harness.apply([assigned(8, 1, 9, **moves[1]), customer(9, "Wanjiku"), assigned(9, 5, 9, **moves[0])])
    found = explain(settings, auditor, 1, None, None)
    assert found.meter.ahead == (
        Ahead("2099-12-04", "02:30", 9, "Wanjiku"), Ahead("2100-01-01", "00:59:59", 7, "Ada [bold]"),
    )  # fmt: skip
    print_statement(settings, found, Format.TABLE)
    out = capsys.readouterr().out
    assert "From 2099-12-04 02:30: customer 9, Wanjiku.\nFrom 2100-01-01 00:59:59: customer 7, Ada [bold].\n" in out
    print_statement(settings, explain(settings, auditor, 5, None, None), Format.JSON)
    ahead = [{"day": "2099-12-04", "time": "02:30", "customer_id": 9, "name": "Wanjiku"}]
    assert json.loads(capsys.readouterr().out)["customers_ahead"] == ahead


@pytest.mark.usefixtures("filled")
def test_a_meter_has_no_customer_after_an_end_ahead(
    settings: Settings, auditor: Connection[Any], harness: MergeHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.apply([assigned(1, 1, 7, "unassigned", version=2, unassigned_at=MIDNIGHT)])
    print_statement(settings, explain(settings, auditor, 1, None, None), Format.TABLE)
    out = capsys.readouterr().out
    assert "Meter 1: customer 7, Ada [bold]" in out
    assert "From 2100-01-01: no active customer." in out
