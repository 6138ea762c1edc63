"""A repair in the middle of a consumer's batch ends exact, wherever in its locks the consumer stands.

The consumer's side is written out by hand as the projector's transactions go: history rows first, then the meter's
row, then the customer's, each increment measured from the history row's mark.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, Protocol

import pytest
from psycopg import Connection, Cursor

from backfill.runs.store import Run
from tests.conftest import WaitUntil
from tests.integration.backfill.conftest import Audit, Found

EDIT: Final = "UPDATE meter_balances SET total_billed = total_billed + 500 WHERE meter_id = 1"

NEW_INVOICE: Final = """
INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date, projected_meter_id, projected_amount)
VALUES (800, 1, 70, 'KES', '2026-09-01', 1, 70)
"""
ADD_TO_METER: Final = """
UPDATE meter_balances SET total_billed = total_billed + 70, invoice_count = invoice_count + 1,
    last_invoice_date = greatest(last_invoice_date, '2026-09-01')
WHERE meter_id = 1 RETURNING old.balance, old.overpayment, new.balance, new.overpayment
"""
ADD_TO_CUSTOMER: Final = """
UPDATE customer_balances SET balance = balance - %s + %s, overpayment = overpayment - %s + %s,
    total_billed = total_billed + 70
WHERE customer_id = 1
"""
REASSIGN: Final = "UPDATE meter_assignments SET customer_id = 6 WHERE assignment_id = 101"
TAKE_FROM_CUSTOMER: Final = """
UPDATE customer_balances SET balance = balance - %s, overpayment = overpayment - %s,
    total_billed = total_billed - %s, total_paid = total_paid - %s, active_meters = active_meters - 1
WHERE customer_id = %s
"""
GIVE_TO_CUSTOMER: Final = """
INSERT INTO customer_balances AS c (customer_id, balance, overpayment, total_billed, total_paid, active_meters)
VALUES (6, %s, %s, %s, %s, 1)
ON CONFLICT (customer_id) DO UPDATE SET balance = c.balance + excluded.balance,
    overpayment = c.overpayment + excluded.overpayment, total_billed = c.total_billed + excluded.total_billed,
    total_paid = c.total_paid + excluded.total_paid, active_meters = c.active_meters + 1
"""


class Waits(Protocol):
    """Wait until one of the backends waits for a lock."""

    def __call__(self, what: str) -> None: ...


@pytest.fixture
def waits(connect: Callable[[], Connection[Any]], wait_until: WaitUntil) -> Waits:
    observer = connect()
    count = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return lambda what: wait_until(lambda: observer.execute(count).fetchone() != (0,), what=what)


def test_a_new_invoice_in_flight_lands_on_the_repaired_meter(
    database: Connection[Any], connect: Callable[[], Connection[Any]], audit: Audit, waits: Waits
) -> None:
    """The consumer holds an uncommitted invoice; the repair holds the meter; the consumer waits for it."""
    database.execute(EDIT)
    consumer, blocker = connect(), connect()
    with ThreadPoolExecutor(2) as threads:
        consumer.execute("BEGIN")
        consumer.execute(NEW_INVOICE)
        with _held(blocker, "SELECT FROM customer_balances WHERE customer_id = 1 FOR UPDATE"):
            repair = threads.submit(audit, "rebuild")
            waits("the repair for the customer, holding the meter")
            batch = threads.submit(_bill_meter, consumer)
        _both(repair, batch)
    _exact(audit)


def test_a_consumer_that_holds_the_meter_is_waited_for(
    database: Connection[Any], connect: Callable[[], Connection[Any]], audit: Audit, waits: Waits
) -> None:
    """The consumer has added to the meter and not committed; the repair's figures come after it."""
    database.execute(EDIT)
    consumer = connect()
    with ThreadPoolExecutor(1) as threads:
        consumer.execute("BEGIN")
        consumer.execute(NEW_INVOICE)
        before = _row(consumer.execute(ADD_TO_METER))
        repair = threads.submit(audit, "rebuild")
        waits("the repair for the meter")
        _finish_billing(consumer, before)
        repair.result(60)
    _exact(audit)


def test_a_version_that_replaces_a_disagreeing_row_is_waited_for(
    database: Connection[Any], connect: Callable[[], Connection[Any]], audit: Audit, waits: Waits
) -> None:
    """An invoice was edited by hand; its next version is in flight, and takes its mark along."""
    database.execute("UPDATE invoices SET amount = 9999 WHERE invoice_id = 1")
    consumer = connect()
    with ThreadPoolExecutor(1) as threads:
        consumer.execute("BEGIN")
        consumer.execute("UPDATE invoices SET amount = 171, projected_amount = 171 WHERE invoice_id = 1")
        repair = threads.submit(audit, "rebuild")
        waits("the repair for the invoice")
        before = _row(consumer.execute(ADD_TO_METER.replace("invoice_count + 1", "invoice_count")))
        _finish_billing(consumer, before)
        repair.result(60)
    database.execute("UPDATE meter_balances SET last_invoice_date = '2026-02-04' WHERE meter_id = 1")
    _exact(audit)


def test_a_version_that_waits_for_the_repaired_mark_measures_from_it(
    database: Connection[Any], connect: Callable[[], Connection[Any]], audit: Audit, waits: Waits
) -> None:
    """The repair holds an invoice whose mark it sets; the consumer then replaces that version."""
    database.execute("UPDATE invoices SET amount = 9999 WHERE invoice_id = 1")
    consumer, blocker = connect(), connect()
    with ThreadPoolExecutor(2) as threads:
        with _held(blocker, "SELECT FROM customer_balances WHERE customer_id = 1 FOR UPDATE"):
            repair = threads.submit(audit, "rebuild")
            waits("the repair for the customer, holding the invoice and the meter")
            batch = threads.submit(_replace_invoice, consumer)
        _both(repair, batch)
    _exact(audit)


def test_a_reassignment_in_flight_lands_on_the_repaired_meter(
    database: Connection[Any], connect: Callable[[], Connection[Any]], audit: Audit, waits: Waits
) -> None:
    """The consumer has moved the meter's assignment and waits for the meter that the repair holds."""
    database.execute(EDIT)
    consumer, blocker = connect(), connect()
    with ThreadPoolExecutor(2) as threads:
        consumer.execute("BEGIN")
        consumer.execute(REASSIGN)
        with _held(blocker, "SELECT FROM customer_balances WHERE customer_id = 1 FOR UPDATE"):
            repair = threads.submit(audit, "rebuild")
            waits("the repair for the customer, holding the meter")
            batch = threads.submit(reassign_meter, consumer)
        _both(repair, batch)
    _exact(audit)


@contextmanager
def _held(connection: Connection[Any], sql: str) -> Iterator[None]:
    connection.execute("BEGIN")
    connection.execute(sql)
    yield
    connection.execute("COMMIT")


def _bill_meter(consumer: Connection[Any]) -> None:
    _finish_billing(consumer, _row(consumer.execute(ADD_TO_METER)))


def _finish_billing(consumer: Connection[Any], change: tuple[Any, ...]) -> None:
    balance, overpayment, new_balance, new_overpayment = change
    consumer.execute(ADD_TO_CUSTOMER, (balance, new_balance, overpayment, new_overpayment))
    consumer.execute("COMMIT")


def _replace_invoice(consumer: Connection[Any]) -> None:
    """Void the invoice: what its meter loses is what the mark says once its row is held."""
    consumer.execute("BEGIN")
    voided = (
        "UPDATE invoices SET voided = true, projected_amount = 0, projected_meter_id = NULL WHERE invoice_id = 1"
        " RETURNING old.projected_amount"
    )
    (mark,) = _row(consumer.execute(voided))
    take = (
        "UPDATE meter_balances SET total_billed = total_billed - %s, invoice_count = invoice_count - 1"
        " WHERE meter_id = 1 RETURNING old.balance, old.overpayment, new.balance, new.overpayment"
    )
    balance, overpayment, new_balance, new_overpayment = _row(consumer.execute(take, (mark,)))
    added = ADD_TO_CUSTOMER.replace("total_billed + 70", "total_billed - %s")
    consumer.execute(added, (balance, new_balance, overpayment, new_overpayment, mark))
    consumer.execute("COMMIT")


def reassign_meter(consumer: Connection[Any]) -> None:
    """Give meter 1 to customer 6, take it from whoever the row names, and commit."""
    moved = (
        "UPDATE meter_balances SET customer_id = 6 WHERE meter_id = 1"
        " RETURNING old.customer_id, balance, overpayment, total_billed, total_paid"
    )
    customer_id, *figures = _row(consumer.execute(moved))
    consumer.execute(TAKE_FROM_CUSTOMER, (*figures, customer_id))
    consumer.execute(GIVE_TO_CUSTOMER, figures)
    consumer.execute("COMMIT")


def _row(cursor: Cursor[Any]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return tuple(row)


def _both(repair: Future[tuple[Run, list[Found]]], batch: Future[None]) -> None:
    batch.result(60)
    run, _ = repair.result(60)
    assert run.tally.failed == 0


def _exact(audit: Audit) -> None:
    _, found = audit()
    assert found == []
