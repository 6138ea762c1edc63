"""Whatever a hand does to history is found by the log, though the database agrees with itself."""

from typing import Final

from tests.integration.verify_log.conftest import Logged
from tests.support.examples import CloudEvent, assigned, customer, invoice, payment

LINES: Final = [{"type": "WATER", "amount": "70.00"}, {"type": "BALANCE", "amount": "30.00"}]
EVENTS: Final[list[CloudEvent]] = [
    customer(7, "Achieng"),
    assigned(3, 42, 7),
    assigned(4, 43, 7, "unassigned", unassigned_at="2026-03-01T00:00:00Z"),
    invoice(
        1, 42, "100.00", customer_id=7, balance_brought_forward="30.00", due_date="2026-02-14", invoice_number="INV-1",
        lines=LINES,
    ),
    invoice(2, 42, "55.50"),
    invoice(2, 42, "60.50", "amended", version=2, event_id="b"),
    payment(5, "40.00", invoice_id=1, method="MPESA", reference="QAB", customer_id=7),
    payment(6, "10.00", meter_id=42),
    payment(6, "10.00", "reversed", version=2, meter_id=42),
]  # fmt: skip
WRITTEN: Final = '[{"type": "WATER", "amount": "70.00"}, {"type": "BALANCE", "amount": "30.00"}]'
KEYS: Final = {
    "invoices": ("invoice_id", 1, "invoice"),
    "payments": ("payment_id", 5, "payment"),
    "meter_assignments": ("assignment_id", 3, "assignment"),
    "customers": ("customer_id", 7, "customer-record"),
}
EDITS: Final[dict[str, dict[str, tuple[str, str | None, str | None]]]] = {
    "invoices": {
        "amount": ("100.01", "100.01", "100.00"),
        "balance_brought_forward": ("NULL", None, "30.00"),
        "meter_id": ("43", "43", "42"),
        "customer_id": ("8", "8", "7"),
        "currency": ("'USD'", "USD", "KES"),
        "invoice_date": ("'5874897-12-31'", "5874897-12-31", "2026-01-31"),
        "due_date": ("NULL", None, "2026-02-14"),
        "invoice_number": ("'INV-1 '", "INV-1 ", "INV-1"),
        "lines": ("'[]'", "[]", WRITTEN),
        "voided": ("true", "true", "false"),
        "version": ("9", "9", "1"),
        "event_id": ("'zz'", "zz", "a"),
    },
    "payments": {
        "amount": ("40.01", "40.01", "40.00"),
        "meter_id": ("42", "42", None),
        "customer_id": ("NULL", None, "7"),
        "invoice_id": ("2", "2", "1"),
        "currency": ("'kes'", "kes", "KES"),
        "paid_at": (
            "paid_at + interval '1 microsecond'",
            "2026-02-01T05:00:00.000001+00:00",
            "2026-02-01T05:00:00+00:00",
        ),
        "method": ("''", "", "MPESA"),
        "reference": ("'qab'", "qab", "QAB"),
        "reversed": ("true", "true", "false"),
        "version": ("0", "0", "1"),
        "event_id": ("''", "", "a"),
    },
    "meter_assignments": {
        "meter_id": ("44", "44", "42"),
        "customer_id": ("8", "8", "7"),
        "assigned_at": ("'2026-01-01T00:00:00.5Z'", "2026-01-01T00:00:00.5+00:00", "2026-01-01T00:00:00+00:00"),
        "unassigned_at": ("'2026-05-01T00:00:00Z'", "2026-05-01T00:00:00+00:00", None),
        "ended": ("true", "true", "false"),
        "active": ("false", "false", "true"),
        "version": ("0", "0", "1"),
        "event_id": ("'A'", "A", "a"),
    },
    "customers": {
        "name": ("'Achieng '", "Achieng ", "Achieng"),
        "version": ("2", "2", "1"),
        "event_id": ("'b'", "b", "a"),
    },
}


def test_a_history_that_the_log_made_is_clean(logged: Logged) -> None:
    """Stale versions, duplicates and voided ones among it; and no second look was needed."""
    logged.apply(*EVENTS)
    logged.apply(*EVENTS[3:6], *EVENTS)
    verified = logged.verify()
    assert verified.exit_code == 0, verified.document
    assert verified.found == set()
    rows = sum(logged.sql(f"SELECT count(*) FROM {table}")[0][0] for table in KEYS)
    assert verified.log["rows"] == verified.log["rows_confirmed"] == rows
    assert verified.log["messages"] == len(logged.events) == verified.document["history_rows"] - rows
    assert logged.sql("SELECT * FROM log_blocks UNION ALL SELECT run_id, entity, 0, 0, '' FROM log_suspects") == []


def test_every_column_is_compared(logged: Logged) -> None:
    """Each in a row of its own, with the marks left as they were; and each is named with both values."""
    copies = {
        table: [_copy(original, key, 100 + number) for number in range(len(EDITS[table]))]
        for table, (key, row, _) in KEYS.items()
        for original in EVENTS
        if original["data"].get(key) == row and next(iter(original["data"])) == key
    }
    logged.apply(*EVENTS, *(event for events in copies.values() for event in events))
    found = set()
    for table, edits in EDITS.items():
        key, _, entity = KEYS[table]
        for number, (column, (value, recorded, expected)) in enumerate(edits.items()):
            row = 100 + number
            logged.sql(f"UPDATE {table} SET {column} = {value} WHERE {key} = :row", row=row)
            found.add((entity, row, column, recorded, expected, "history-edited"))
    verified = logged.verify()
    assert verified.exit_code == 1
    assert verified.found == found
    assert verified.log["rows_wrong"] == len(found)


def test_a_row_that_is_gone_is_missing(logged: Logged) -> None:
    logged.apply(*EVENTS)
    for table, (key, row, _) in KEYS.items():
        logged.sql(f"DELETE FROM {table} WHERE {key} = :row", row=row)
    verified = logged.verify()
    assert verified.exit_code == 1
    assert verified.found == {
        (entity, row, key, None, str(row), "history-missing") for key, row, entity in KEYS.values()
    }


def test_a_row_that_no_message_brought_is_unknown(logged: Logged) -> None:
    """It may say that it comes from a message of another entity, from nowhere, or from where nobody can have read.

    What another group has stored of a former topic says nothing of this one's log.
    """
    logged.apply(*EVENTS)
    logged.sql("""
        INSERT INTO positions (group_id, topic, partition, next_offset, topic_id)
        SELECT 'another', topic, partition, 2000000, 'former' FROM positions""")
    claims = {101: "source_offset", 102: "source_offset + 10", 103: "-1", 104: "1000000"}
    for row, offset in claims.items():
        logged.sql(f"""
            INSERT INTO invoices (invoice_id, version, event_id, meter_id, amount, currency, invoice_date,
                                  source_partition, source_offset)
            SELECT {row}, 1, 'x', 42, 500, currency, invoice_date, source_partition, {offset}
            FROM invoices WHERE invoice_id = 1""")
    logged.sql(
        "INSERT INTO customers (customer_id, version, event_id, name, source_partition, source_offset) "
        "VALUES (900, 1, 'x', 'Nobody', 17, 0)"
    )
    verified = logged.verify()
    assert verified.exit_code == 1
    assert verified.found == {
        *(("invoice", row, "invoice_id", str(row), None, "history-unknown") for row in claims),
        ("customer-record", 900, "customer_id", "900", None, "history-unknown"),
    }


def test_what_was_written_consistently_passes_a_drift_check_and_not_the_log(logged: Logged) -> None:
    """Amount, mark, meter and customer agree: nothing within the database tells."""
    logged.apply(*EVENTS)
    logged.sql(
        "UPDATE invoices SET amount = amount + 500, projected_amount = projected_amount + 500 WHERE invoice_id = 2"
    )
    logged.sql("UPDATE meter_balances SET total_billed = total_billed + 500 WHERE meter_id = 42")
    logged.sql("UPDATE customer_balances SET total_billed = total_billed + 500, balance = balance + 500")
    assert logged.verify().found == {("invoice", 2, "amount", "560.50", "60.50", "history-edited")}


def test_what_a_step_amended_is_counted_and_no_finding(logged: Logged) -> None:
    logged.apply(*EVENTS)
    logged.sql("UPDATE invoices SET amount = 70, balance_brought_forward = 30 WHERE invoice_id = 1")
    logged.sql("UPDATE payments SET allocated_meter_id = 42 WHERE payment_id = 5")
    verified = logged.verify()
    assert verified.exit_code == 0, verified.document
    assert verified.log["rows_amended"] == 1


def _copy(event: CloudEvent, key: str, row: int) -> CloudEvent:
    return {**event, "data": {**event["data"], key: row}}
