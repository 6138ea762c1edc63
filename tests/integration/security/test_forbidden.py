"""What a user of each role tries and may not do."""

from typing import Any, Final

import pytest
from psycopg import Connection
from psycopg.errors import InsufficientPrivilege

from tests.integration.security.conftest import OWNER, Deployed

HISTORY: Final = ("invoices", "payments", "meter_assignments", "customers")
PROJECTION: Final = ("meter_balances", "customer_balances")
STREAM: Final = ("positions", "dead_letters")
COPIES: Final = ("backups", "backup_meter_balances", "backup_customer_balances")
WORK: Final = {"backfill_chunks", "log_blocks", "log_suspects"}
"""What is to be done of a run, taken out when it is done; its findings stay."""
AUDIT: Final = ("backfill_runs", "drift", "alerts", "backfill_touched", *sorted(WORK), *COPIES)
OWNERS: Final = ("deployment", "alembic_version")
CLOCK: Final = "assignment_clock"
TABLES: Final = (*HISTORY, *PROJECTION, *STREAM, *AUDIT, *OWNERS, CLOCK)
KEYS: Final = {"invoices": "invoice_id", "payments": "payment_id"}
OWN_COLUMNS: Final = {
    "invoices": {"amount", "balance_brought_forward", "projected_amount", "projected_meter_id"},
    "payments": {"allocated_meter_id", "projected_amount", "projected_meter_id"},
    "meter_assignments": {"active"},
}
WRITES: Final = ("INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}", "TRUNCATE {}")
OWNERS_ALONE: Final = ("DROP TABLE {}", "ALTER TABLE {} ADD COLUMN mine text", "CREATE INDEX mine ON {} ((1))")


def test_the_reader_changes_nothing(deployed: Deployed) -> None:
    with deployed.connected("reader") as connection:
        for table in TABLES:
            for statement in (*WRITES, *OWNERS_ALONE, "LOCK TABLE {} IN ROW EXCLUSIVE MODE"):
                refused(connection, statement.format(table))
            for column in _columns(deployed, table):
                refused(connection, f"UPDATE {table} SET {column} = NULL")


def test_the_reader_sees_nothing_that_a_producer_wrote_into_a_dead_letter(deployed: Deployed) -> None:
    with deployed.connected("reader") as connection:
        for columns in ("*", "key", "value", "headers", "detail", "closed_why"):
            refused(connection, f"SELECT {columns} FROM dead_letters")
        connection.execute("SELECT reason, count(*) FROM dead_letters GROUP BY reason")


def test_the_projector_neither_audits_nor_deletes_nor_changes_the_schema(deployed: Deployed) -> None:
    with deployed.connected("projector") as connection:
        for table in AUDIT:
            for statement in WRITES:
                refused(connection, statement.format(table))
        for table in TABLES:
            for statement in (*OWNERS_ALONE, "TRUNCATE {}"):
                refused(connection, statement.format(table))
        for table in set(TABLES) - KEYS.keys():
            refused(connection, f"DELETE FROM {table}")
        for table in (*OWNERS, CLOCK):
            for statement in WRITES:
                refused(connection, statement.format(table))


def test_backfill_locks_the_clock_and_does_not_move_it(deployed: Deployed) -> None:
    with deployed.connected("backfill") as connection:
        connection.execute("SELECT through FROM assignment_clock FOR SHARE")
        for statement in (*WRITES, "LOCK TABLE {} IN ROW EXCLUSIVE MODE", "UPDATE {} SET through = now()"):
            refused(connection, statement.format(CLOCK))


def test_backfill_writes_of_history_the_columns_of_its_steps_alone(deployed: Deployed) -> None:
    with deployed.connected("backfill") as connection:
        for table in HISTORY:
            for statement in (*WRITES, *OWNERS_ALONE):
                refused(connection, statement.format(table))
            for column in set(_columns(deployed, table)) - OWN_COLUMNS.get(table, set()):
                refused(connection, f"UPDATE {table} SET {column} = NULL")
        for table, columns in OWN_COLUMNS.items():
            for column in columns:
                connection.execute(f"UPDATE {table} SET {column} = {column} WHERE false".encode())


def test_backfill_has_no_part_in_the_stream_and_erases_nothing(deployed: Deployed) -> None:
    with deployed.connected("backfill") as connection:
        for columns in ("*", "key", "value", "headers", "detail", "closed_why"):
            refused(connection, f"SELECT {columns} FROM dead_letters")
        connection.execute(
            "SELECT topic, partition, source_offset, timestamp_ms, topic_id, digest, state FROM dead_letters"
        )
        for table in STREAM:
            for statement in (*WRITES, "LOCK TABLE {} IN ROW EXCLUSIVE MODE"):
                refused(connection, statement.format(table))
        for table in set(TABLES) - WORK:
            for statement in ("DELETE FROM {}", "TRUNCATE {}", *OWNERS_ALONE):
                refused(connection, statement.format(table))
        for table in (*OWNERS, *COPIES):
            for column in _columns(deployed, table):
                refused(connection, f"UPDATE {table} SET {column} = NULL")


def _columns(deployed: Deployed, table: str) -> list[str]:
    """Name a table's columns; those that PostgreSQL computes are nobody's to set, and say so otherwise."""
    asked = (
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attgenerated = '' "
        "AND attidentity = ''"
    )
    with deployed.connected(OWNER) as connection:
        return [name for (name,) in connection.execute(asked, (table,))]


def refused(connection: Connection[Any], statement: str) -> None:
    """Expect that PostgreSQL refuses for want of a right, and for nothing else."""
    try:
        with connection.transaction():
            connection.execute(statement.encode())
    except InsufficientPrivilege:
        return
    pytest.fail(f"{connection.info.user} may: {statement}")
