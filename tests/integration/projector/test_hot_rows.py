"""An invoice or a meter with very many rows, a long history: a batch costs what it changes."""

from typing import Any, Final

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from projector.consume.merge import MERGE
from tests.support.examples import CloudEvent, assigned, invoice, payment
from tests.support.merge_harness import MergeHarness, disagreement

FOLLOWERS: Final = 40
EVENTS: Final = [invoice(1, 7, "100.00"), *(payment(key, "1.00", invoice_id=1) for key in range(1, FOLLOWERS + 1))]
ROWS: Final = "SELECT payment_id, ctid::text, xmin::text, xmax::text FROM payments ORDER BY payment_id"
"""Of each payment its place, who wrote it and who last locked it."""


@pytest.mark.parametrize(
    "event",
    [
        invoice(1, 7, "100.00"),
        invoice(1, 7, "120.00", "amended", version=2),
        invoice(1, 7, "100.00", "voided", version=2),
        invoice(1, 8, "90.00", "amended", version=1, event_id="\x01"),
        payment(3, "1.00", invoice_id=1),
        payment(FOLLOWERS + 1, "1.00", invoice_id=1),
    ],
    ids=["duplicate", "another amount", "void", "overtaken", "payment's duplicate", "another payment"],
)
def test_an_invoice_that_stays_at_its_meter_neither_locks_nor_writes_its_payments(
    harness: MergeHarness, engine: Engine, event: CloudEvent
) -> None:
    harness.apply(EVENTS)
    before = _rows(harness.connection)
    harness.apply([event])
    touched = {old[0] for old, new in zip(before, _rows(harness.connection), strict=False) if old != new}
    assert touched <= ({3} if event["data"].get("payment_id") == 3 else set())
    assert not disagreement(engine, [*EVENTS, event])


def test_an_invoice_that_moves_takes_all_of_them_along(harness: MergeHarness, engine: Engine) -> None:
    harness.apply(EVENTS)
    moved = invoice(1, 8, "100.00", "amended", version=2)
    harness.apply([moved])
    assert not disagreement(engine, [*EVENTS, moved])
    paid = harness.connection.execute(
        "SELECT meter_id, total_paid, payment_count FROM meter_balances ORDER BY 1"
    ).fetchall()
    assert paid == [(7, 0, 0), (8, FOLLOWERS, FOLLOWERS)]


def test_a_small_batch_reads_few_rows_of_a_long_history(harness: MergeHarness) -> None:
    """A planner that expects thousands of staged rows would rather read the whole of a table than look rows up."""
    connection = harness.connection
    connection.execute("""
        INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date, projected_meter_id,
                              projected_amount, source_offset)
        SELECT n, n, 1, 'KES', '2020-01-01', n, 1, 0 FROM generate_series(1, 30000) n;
        INSERT INTO payments (payment_id, invoice_id, amount, currency, paid_at, projected_meter_id, projected_amount,
                              source_offset)
        SELECT n, n, 1, 'KES', '2020-01-01', n, 1, 0 FROM generate_series(1, 30000) n;
        INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, active, source_offset)
        SELECT n, n, n, '2020-01-01', true, 0 FROM generate_series(1, 30000) n;
        INSERT INTO meter_balances (meter_id, customer_id, total_billed, total_paid, invoice_count, payment_count)
        SELECT n, n, 1, 1, 1, 1 FROM generate_series(1, 30000) n;
    """)
    connection.execute("VACUUM ANALYZE invoices, payments, meter_assignments, meter_balances")
    events = [
        *(invoice(key, key + 100, "2.00", "amended", version=2) for key in range(1, 11)),
        *(invoice(50_000 + key, key, "2.00") for key in range(1, 11)),
        *(payment(key, "2.00", "amended", version=2, invoice_id=key) for key in range(6, 16)),
        *(payment(50_000 + key, "2.00", meter_id=key) for key in range(1, 11)),
        *(payment(60_000 + key, "2.00", invoice_id=60_000 + key) for key in range(1, 11)),
        *(assigned(50_000 + key, key, 50_000) for key in range(1, 11)),
    ]
    for stale in (0, len(events)):
        with connection.transaction():
            assert harness.apply(events).stale == stale
            assert _read(connection) < 1_000
    paid = connection.execute(
        "SELECT meter_id, total_paid FROM meter_balances WHERE meter_id IN (1, 101, 106) ORDER BY 1"
    )
    assert paid.fetchall() == [(1, 2), (101, 2), (106, 3)]


def test_a_latest_date_is_looked_up_at_one_end_of_an_index(harness: MergeHarness) -> None:
    """However many rows a meter has, and however many of its payments follow their invoice."""
    connection = harness.connection
    connection.execute("""
        INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date, projected_meter_id,
                              projected_amount)
        SELECT n, 7, 1, 'KES', date '2020-01-01' + n, 7, 1 FROM generate_series(1, 3000) n;
        INSERT INTO payments (payment_id, meter_id, invoice_id, amount, currency, paid_at, projected_meter_id,
                              projected_amount)
        SELECT n, CASE WHEN n % 2 = 0 THEN 7 END, 1, 1, 'KES', timestamptz '2020-01-01' + n * interval '1 hour', 7, 1
        FROM generate_series(1, 6000) n;
        INSERT INTO meter_balances (meter_id, total_billed, total_paid, invoice_count, payment_count,
                                    last_invoice_date, last_payment_at)
        SELECT 7, 3000, 6000, 3000, 6000, date '2020-01-01' + 3000, timestamptz '2020-01-01' + 6000 * interval '1 hour';
    """)
    connection.execute("VACUUM ANALYZE invoices, payments, meter_balances")
    with connection.transaction():
        connection.execute("""
            INSERT INTO changes (meter_id, lost_invoice_date, lost_paid_at) VALUES (7, '2040-01-01', '2040-01-01');
            INSERT INTO touched_meters VALUES (7, false, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0);
        """)
        connection.execute(MERGE["settle_meters"])
        assert _read(connection) < 10
    latest = connection.execute("SELECT last_invoice_date, last_payment_at FROM meter_balances").fetchone()
    assert (
        latest
        == connection.execute(
            "SELECT (SELECT max(invoice_date) FROM invoices), (SELECT max(paid_at) FROM payments)"
        ).fetchone()
    )


def _read(connection: Connection[Any]) -> int:
    """Return how many rows and index entries the transaction under way has read of history and projection."""
    row = connection.execute("""
        SELECT sum(pg_stat_get_xact_tuples_returned(oid))::bigint FROM pg_class
        WHERE relname ~ '^(invoices|payments|meter_|customer)' AND relnamespace = 'billing'::regnamespace
    """).fetchone()
    assert row is not None
    return int(row[0])


def _rows(connection: Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(ROWS).fetchall()
