"""No table takes a key that is not positive, a number that is none, or a date that is not finite."""

from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection
from sqlalchemy import Engine, text

from events.contract.limits import BIGINT_MAX
from events.runtime.deadline import Deadline
from events.runtime.errors import StateError
from events.runtime.settings import Settings
from projector.consume.writer import Writer
from projector.database import revision
from projector.database.engines import driver_of
from projector.deployment import schema
from tests.support import old_schema
from tests.support.examples import assigned, customer, invoice, payment
from tests.support.merge_harness import MergeHarness

KEYS: Final = {
    "invoices": ("invoice_id", "meter_id", "customer_id", "projected_meter_id"),
    "payments": (
        "payment_id", "meter_id", "customer_id", "invoice_id", "allocated_meter_id", "projected_meter_id"
    ),
    "meter_assignments": ("assignment_id", "meter_id", "customer_id"),
    "customers": ("customer_id",),
    "meter_balances": ("meter_id", "customer_id"),
    "customer_balances": ("customer_id",),
}  # fmt: skip
MONEY: Final = {
    "invoices": ("amount", "balance_brought_forward", "projected_amount"),
    "payments": ("amount", "projected_amount"),
    "meter_balances": ("total_billed", "total_paid"),
    "customer_balances": ("balance", "overpayment", "total_billed", "total_paid"),
}
DATES: Final = {
    "invoices": ("invoice_date", "due_date"),
    "payments": ("paid_at",),
    "meter_assignments": ("assigned_at", "unassigned_at"),
    "meter_balances": ("last_invoice_date", "last_payment_at"),
}
LEAST: Final = -BIGINT_MAX - 1
ENDS: Final = ("'infinity'", "'-infinity'")
REFUSED: Final = [
    *((table, column, key) for table, columns in KEYS.items() for column in columns for key in ("0", str(LEAST))),
    *((table, "version", "-1") for table in ("invoices", "payments", "meter_assignments", "customers")),
    *((table, column, "'NaN'") for table, columns in MONEY.items() for column in columns),
    *((table, column, end) for table, columns in DATES.items() for column in columns for end in ENDS),
]  # fmt: skip
THREE_PAYMENTS: Final = """
    INSERT INTO payments (payment_id, version, amount, currency, paid_at)
    SELECT n, -1, 10, 'KES', 'infinity' FROM generate_series(-5, -3) n
"""
EVENTS: Final = [
    customer(7, "Ada"), assigned(1, 1, 7), invoice(1, 1, "100.00"), payment(1, "30.00", meter_id=1),
]  # fmt: skip
LEGACY: Final = (
    "INSERT INTO invoices (invoice_id, version, meter_id, amount, currency, invoice_date)"
    " VALUES (1, 0, 1, {}, 'KES', {})"
)


@pytest.fixture
def connection(engine: Engine, settings: Settings) -> Iterator[Connection[Any]]:
    harness = MergeHarness(engine, settings)
    harness.apply(EVENTS)
    yield harness.connection
    harness.close()


@pytest.fixture
def older(settings: Settings) -> Iterator[Engine]:
    """Have a schema as it was before its values were constrained."""
    with old_schema.before(settings, "0005") as engine:
        yield engine


def test_every_such_value_is_refused_in_every_column_and_every_table(connection: Connection[Any]) -> None:
    for table, column, value in REFUSED:
        with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
            connection.execute(f"UPDATE {table} SET {column} = {value}".encode())
    for table, columns in MONEY.items():
        for column in columns:
            with pytest.raises(psycopg.errors.NumericValueOutOfRange), connection.transaction():
                connection.execute(f"UPDATE {table} SET {column} = 'infinity'".encode())


def test_every_column_is_decided_on(connection: Connection[Any]) -> None:
    """A key, a sum of money or a date that is added to one of these tables has to be added here and constrained."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = ANY(%s) AND is_generated = 'NEVER'"
        "   AND (column_name LIKE '%%\\_id' AND data_type = 'bigint' OR data_type IN ('numeric', 'date')"
        "        OR data_type LIKE 'timestamp%%' AND column_name <> 'updated_at')",
        [[*KEYS]],
    )
    decided = {(table, column) for part in (KEYS, MONEY, DATES) for table in part for column in part[table]}
    assert set(rows.fetchall()) == decided


def test_the_bounds_themselves_are_taken(engine: Engine, settings: Settings) -> None:
    """The least and the greatest that an event can carry, and what an absent invoice or payment is locked by."""
    harness = MergeHarness(engine, settings)
    ends = [(1, "0001-01-01", "0001-01-01T00:00:00Z"), (BIGINT_MAX, "9999-12-31", "9999-12-31T23:59:59.999999Z")]
    for key, day, instant in ends:
        harness.apply([
            customer(key, "Ada"), assigned(key, key, key, assigned_at=instant),
            payment(key, "0.01", invoice_id=key, paid_at=instant),
        ])  # fmt: skip
        harness.apply([invoice(key, key, "9999999999999999.99", invoice_date=day, due_date=day)])
    rows = harness.connection.execute("SELECT meter_id, total_paid, last_invoice_date FROM meter_balances ORDER BY 1")
    assert [(meter, str(paid), str(day)) for meter, paid, day in rows] == [
        (key, "0.01", day) for key, day, _ in ends
    ]  # fmt: skip
    harness.connection.execute("DELETE FROM invoices")
    harness.connection.execute(LEGACY.format("10", "'2026-01-01'").encode())
    harness.close()


def test_an_event_that_a_constraint_refuses_is_a_dead_letter_and_the_rest_of_its_batch_goes_in(
    engine: Engine, settings: Settings
) -> None:
    """No event breaks one of these; should one ever, the consumer goes on."""
    harness, writer = MergeHarness(engine, settings), Writer(engine, settings)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE customers ADD CONSTRAINT customers_are_not_ben CHECK (name <> 'Ben')"))
    batch = harness.batch([customer(1, "Ada"), customer(2, "Ben"), customer(3, "Cleo")])
    applied = writer.submit(batch).result(60)
    writer.close(Deadline.after(60))
    harness.close()
    assert (applied.applied, applied.refused) == (2, 1)
    with engine.connect() as connection:
        reason, detail = connection.execute(text("SELECT reason, detail FROM dead_letters")).one()
    assert reason == "refused-by-database"
    assert "customers_are_not_ben" in detail


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (LEGACY.format("'NaN'", "'2026-01-01'"), "table invoices, row 1: amount NaN is no possible value"),
        (LEGACY.format("10", "'-infinity'"), "table invoices, row 1: invoice_date -infinity is no possible value"),
        (
            THREE_PAYMENTS,
            "table payments, row -5 (and 2 more rows of it like that): payment_id -5, version -1, paid_at infinity is",
        ),
        (
            "INSERT INTO meter_balances (meter_id, total_paid) VALUES (6, 'NaN')",
            "table meter_balances, row 6: total_paid NaN is no possible value, and nothing was changed; delete it",
        ),
        ("INSERT INTO customer_balances (customer_id) VALUES (0)", "table customer_balances, row 0: customer_id 0"),
    ],
)
def test_data_in_the_way_of_an_upgrade_is_one_line_and_nothing_is_changed(
    older: Engine, statement: str, said: str
) -> None:
    with older.begin() as connection:
        connection.execute(text(statement))
        before = revision.current(driver_of(connection), "older")
    with pytest.raises(StateError) as refused:
        schema.upgrade(older, "older")
    assert said in str(refused.value)
    assert "run `projector init` again" in str(refused.value)
    assert "\n" not in str(refused.value)
    with older.connect() as connection:
        assert revision.current(driver_of(connection), "older") == before


def test_an_upgrade_keeps_what_a_stream_and_a_load_had_written(older: Engine) -> None:
    with older.begin() as connection:
        connection.execute(text(LEGACY.format("10", "'5874897-12-31'")))
        connection.execute(text("INSERT INTO meter_balances (meter_id, total_billed) VALUES (1, -0.01)"))
    assert schema.upgrade(older, "older").after == revision.needed()
    with older.connect() as connection:
        assert connection.execute(text("SELECT version, amount FROM invoices")).all() == [(0, 10)]
