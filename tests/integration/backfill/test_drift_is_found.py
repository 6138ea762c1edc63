"""Each kind of drift is found, named with the rows that prove it, repaired, and gone afterwards."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from psycopg import Connection

from tests.integration.backfill.conftest import Audit, Found


class Injection(NamedTuple):
    """What is done by hand, and what has to be found: (entity, id, column, cause), and ids in the evidence."""

    sql: str
    found: set[tuple[str, int, str, str]]
    named: dict[str, list[int]]


INJECTIONS = {
    "an invoice's amount was changed": Injection(
        "UPDATE invoices SET amount = amount + 1000 WHERE invoice_id = 1",
        {("meter", 1, "total_billed", "history-changed"), ("customer", 1, "total_billed", "meter-drift")},
        {"invoices": [1]},
    ),
    "an invoice was voided": Injection(
        "UPDATE invoices SET voided = true WHERE invoice_id = 35",
        {("meter", 2, "total_billed", "history-changed"), ("meter", 2, "invoice_count", "history-changed")},
        {"invoices": [35]},
    ),
    "an invoice was given to another meter": Injection(
        "UPDATE invoices SET meter_id = 9 WHERE invoice_id = 2",
        {("meter", 2, "total_billed", "history-moved"), ("meter", 9, "total_billed", "history-moved")},
        {"invoices": [2]},
    ),
    "an invoice was added": Injection(
        "INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date)"
        " VALUES (900, 4, 500, 'KES', '2026-06-01')",
        {("meter", 4, "total_billed", "history-added"), ("meter", 4, "last_invoice_date", "history-added")},
        {"invoices": [900]},
    ),
    "an invoice was deleted": Injection(
        "DELETE FROM invoices WHERE invoice_id = 5",
        {("meter", 5, "total_billed", "history-deleted"), ("meter", 5, "invoice_count", "history-deleted")},
        {},
    ),
    "a payment's amount was changed": Injection(
        "UPDATE payments SET amount = 1 WHERE payment_id = 13",
        {("meter", 2, "total_paid", "history-changed"), ("customer", 1, "total_paid", "meter-drift")},
        {"payments": [13]},
    ),
    "a payment was reversed": Injection(
        "UPDATE payments SET reversed = true WHERE payment_id = 14",
        {("meter", 3, "total_paid", "history-changed"), ("meter", 3, "payment_count", "history-changed")},
        {"payments": [14]},
    ),
    "a payment lost its meter and follows its invoice": Injection(
        "UPDATE payments SET meter_id = NULL, invoice_id = 6 WHERE payment_id = 14",
        {("meter", 3, "total_paid", "history-moved"), ("meter", 6, "total_paid", "history-moved")},
        {"payments": [14]},
    ),
    "an invoice whose payment follows it was moved": Injection(
        "UPDATE invoices SET meter_id = 7 WHERE invoice_id = 8",
        {("meter", 8, "total_paid", "history-moved"), ("meter", 7, "total_paid", "history-moved")},
        {"payments": [8], "invoices": [8]},
    ),
    "a payment was added through a voided invoice": Injection(
        "INSERT INTO payments (payment_id, invoice_id, amount, currency, paid_at)"
        " VALUES (901, 10, 33, 'KES', '2026-06-01')",
        {("meter", 10, "total_paid", "history-added"), ("meter", 10, "last_payment_at", "history-added")},
        {"payments": [901]},
    ),
    "an allocation was changed": Injection(
        "UPDATE payments SET allocated_meter_id = 4 WHERE payment_id = 92",
        {("meter", 2, "total_paid", "history-moved"), ("meter", 4, "total_paid", "history-moved")},
        {"payments": [92]},
    ),
    "a payment was deleted": Injection(
        "DELETE FROM payments WHERE payment_id = 6",
        {("meter", 6, "total_paid", "history-deleted"), ("meter", 6, "payment_count", "history-deleted")},
        {},
    ),
    "a meter's total was edited": Injection(
        "UPDATE meter_balances SET total_billed = total_billed + 0.01 WHERE meter_id = 7",
        {("meter", 7, "total_billed", "projection-edited")},
        {},
    ),
    "a meter's count was edited": Injection(
        "UPDATE meter_balances SET payment_count = 77 WHERE meter_id = 7",
        {("meter", 7, "payment_count", "projection-edited")},
        {},
    ),
    "a meter's date was edited": Injection(
        "UPDATE meter_balances SET last_payment_at = '44000-01-01' WHERE meter_id = 7",  # later than any of Python's
        {("meter", 7, "last_payment_at", "date-edited")},
        {},
    ),
    "a meter's row was deleted": Injection(
        "DELETE FROM meter_balances WHERE meter_id = 3",
        {("meter", 3, "total_billed", "row-missing"), ("meter", 3, "customer_id", "row-missing")},
        {"assignments": [103]},
    ),
    "a meter's row was added": Injection(
        "INSERT INTO meter_balances (meter_id, customer_id, total_paid) VALUES (5000, 4242, 9)",
        {("meter", 5000, "total_paid", "row-extra"), ("meter", 5000, "customer_id", "row-extra")},
        {},
    ),
    "a meter without a customer was edited": Injection(
        "UPDATE meter_balances SET total_paid = 0 WHERE meter_id = 11",
        {("meter", 11, "total_paid", "projection-edited")},
        {},
    ),
    "a meter was shown under another customer": Injection(
        "UPDATE meter_balances SET customer_id = 4 WHERE meter_id = 1",
        {("meter", 1, "customer_id", "projection-edited")},
        {"assignments": [101]},
    ),
    "an assignment was given to another customer": Injection(
        "UPDATE meter_assignments SET customer_id = 2 WHERE assignment_id = 101",
        {("meter", 1, "customer_id", "assignment-edited"), ("customer", 2, "active_meters", "meter-drift"),
         ("customer", 1, "active_meters", "meter-drift")},
        {"assignments": [101]},
    ),
    "an assignment was ended": Injection(
        "UPDATE meter_assignments SET active = false WHERE assignment_id = 102",
        {("meter", 2, "customer_id", "assignment-edited"), ("customer", 1, "active_meters", "meter-drift")},
        {"assignments": [102]},
    ),
    "an assignment was added": Injection(
        "INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at)"
        " VALUES (300, 11, 6, '2026-03-01')",
        {("meter", 11, "customer_id", "assignment-edited"), ("customer", 6, "active_meters", "meter-drift")},
        {"assignments": [300]},
    ),
    "a customer's sum was edited": Injection(
        "UPDATE customer_balances SET balance = balance + 150 WHERE customer_id = 5",
        {("customer", 5, "balance", "customer-sum-off")},
        {},
    ),
    "a customer's row was deleted": Injection(
        "DELETE FROM customer_balances WHERE customer_id = 5",
        {("customer", 5, "total_billed", "row-missing"), ("customer", 5, "active_meters", "row-missing")},
        {},
    ),
    "a customer's row was added": Injection(
        "INSERT INTO customer_balances (customer_id, balance) VALUES (777, 1)",
        {("customer", 777, "balance", "row-extra")},
        {},
    ),
    "the largest total there is": Injection(
        "UPDATE meter_balances SET total_billed = 9999999999999999.99 WHERE meter_id = 6",
        {("meter", 6, "total_billed", "projection-edited")},
        {},
    ),
}  # fmt: skip


def test_a_customer_s_finding_names_the_meters_that_differ(database: Connection[Any], audit: Audit) -> None:
    database.execute("UPDATE invoices SET amount = amount + 1 WHERE invoice_id IN (1, 2)")
    _, found = audit()
    assert [
        each.evidence["meters"] for each in found if each.entity == "customer" and each.column == "total_billed"
    ] == [[1, 2]]


def test_a_customer_without_a_meter_now_was_known(database: Connection[Any], audit: Audit) -> None:
    database.execute("INSERT INTO customer_balances (customer_id, balance) VALUES (6, 1)")
    assert {(each.entity_id, each.cause) for each in audit()[1]} == {(6, "customer-sum-off")}


def test_what_agrees_is_clean(database: Connection[Any], audit: Audit) -> None:
    run, found = audit()
    assert found == []
    assert (run.state, run.tally.drifted, run.tally.failed) == ("finished", 0, 0)
    assert (run.tally.customers, run.tally.meters, run.tally.meters_without_customer) == (6, 11, 1)
    totals = database.execute("SELECT sum(balance), sum(overpayment) FROM customer_balances").fetchone()
    assert totals == (run.tally.balance_after, run.tally.overpayment_after)


@pytest.mark.parametrize("injection", INJECTIONS.values(), ids=INJECTIONS.keys())
def test_each_kind_is_found_named_and_repaired(database: Connection[Any], audit: Audit, injection: Injection) -> None:
    database.execute(injection.sql)
    before = _projection(database)
    run, found = audit()
    named = {(each.entity, each.entity_id, each.column, each.cause) for each in found}
    assert injection.found <= named
    assert {each[:2] for each in named if each[0] == "meter"} == {
        each[:2] for each in injection.found if each[0] == "meter"
    }
    for source, ids in injection.named.items():
        assert set(ids) <= _ids(found, source)
    dry, same = audit("rebuild", dry_run=True)
    assert [each[:8] for each in same] == [each[:8] for each in found]
    assert _projection(database) == before
    assert dry.tally.findings == run.tally.findings
    rebuilt, repaired = audit("rebuild")
    assert [each[:8] for each in repaired] == [each[:8] for each in found]
    assert all(each.repaired for each in repaired)
    assert (rebuilt.tally.failed, rebuilt.tally.unrepaired) == (0, 0)
    _, left = audit()
    assert left == []
    again, nothing = audit("rebuild")
    assert (nothing, again.tally.repaired) == ([], 0)


def test_only_what_drifted_is_written(database: Connection[Any], audit: Audit) -> None:
    database.execute("UPDATE meter_balances SET total_billed = 0 WHERE meter_id = 7")
    rows = "SELECT meter_id, xmin FROM meter_balances WHERE meter_id <> 7 ORDER BY 1"
    before = database.execute(rows).fetchall()
    audit("rebuild")
    assert database.execute(rows).fetchall() == before


def test_everything_at_once_is_repaired(database: Connection[Any], audit: Audit) -> None:
    for injection in INJECTIONS.values():
        database.execute(injection.sql)
    _, found = audit("rebuild")
    assert found
    assert audit()[1] == []


def test_an_emptied_projection_is_rebuilt(database: Connection[Any], audit: Audit) -> None:
    rows = "SELECT meter_id, customer_id, balance, overpayment FROM meter_balances ORDER BY 1"
    before = database.execute(rows).fetchall()
    database.execute("TRUNCATE meter_balances, customer_balances")
    database.execute("UPDATE invoices SET projected_amount = 0, projected_meter_id = NULL")
    audit("rebuild")
    assert database.execute(rows).fetchall() == before
    assert audit()[1] == []


def _ids(found: Sequence[Found], source: str) -> set[int]:
    if source == "assignments":
        return {each for finding in found for each in finding.evidence.get("assignments", ())}
    return {
        each
        for finding in found
        for part in finding.evidence.get("history", ())
        if part["source"] == source
        for each in part["ids"]
    }


def _projection(database: Connection[Any]) -> list[tuple[Any, ...]]:
    meters = database.execute("SELECT m.*::text FROM meter_balances m ORDER BY meter_id").fetchall()
    return meters + database.execute("SELECT c.*::text FROM customer_balances c ORDER BY customer_id").fetchall()
