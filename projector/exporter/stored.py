"""What PostgreSQL knows: drift, dead letters, runs, stops. What reads a whole table is read less often."""

import time
from typing import Any, Final

from psycopg import Connection

from projector.database.statements import statements
from projector.metrics.families import Families

SQL: Final = statements("projector.exporter", "stored.sql")
WHOLE_TABLE_SECONDS: Final = 60.0  # between two counts of a table's rows
STOP_REASONS: Final = ("position", "refusals", "batch", "group")


class Stored:
    """Reads the figures; counts of whole tables are kept for a while."""

    def __init__(self, group_id: str) -> None:
        self._parameters = {"group_id": group_id}
        self._unverified = 0
        self._unverified_due = 0.0

    def add(self, connection: Connection[Any], families: Families) -> None:
        """Add what one transaction sees.

        Raises:
            psycopg.Error: PostgreSQL is unavailable, or refuses.

        """
        self._add_stops(connection, families)
        self._add_proof(connection, families)
        letters = self._rows(connection, "dead_letters")
        for reason, count, _ in letters:
            families.add("projector_dead_letters_open", count, reason=reason)
        oldest = min((first for _, _, first in letters), default=0.0)
        families.add("projector_dead_letters_oldest_timestamp_seconds", oldest)
        for command, at in self._rows(connection, "last_success"):
            families.add("projector_run_last_success_timestamp_seconds", at, command=command)
        for command, ratio in self._rows(connection, "progress"):
            families.add("projector_run_progress_ratio", ratio, command=command)
        [(overdue,)] = self._rows(connection, "overdue")
        families.add("projector_clock_overdue_seconds", max(0.0, overdue or 0.0))

    def _add_stops(self, connection: Connection[Any], families: Families) -> None:
        found = dict(self._rows(connection, "stops"))
        for reason in STOP_REASONS:
            families.add("projector_consumer_stops", found.get(reason, 0), reason=reason)
        families.add("projector_breaker_open", "refusals" in found)

    def _add_proof(self, connection: Connection[Any], families: Families) -> None:
        [(verified, promised)] = self._rows(connection, "verified")
        families.add("projector_verified_through_timestamp_seconds", verified or 0.0)
        families.add("projector_verification_promised_seconds", promised or 0.0)
        if time.monotonic() >= self._unverified_due:
            [(self._unverified,)] = self._rows(connection, "unverified_meters")
            self._unverified_due = time.monotonic() + WHOLE_TABLE_SECONDS
        families.add("projector_unverified_meters", self._unverified)
        for cause, findings, amount in self._rows(connection, "open_drift"):
            families.add("projector_drift_open_findings", findings, cause=cause)
            families.add("projector_drift_open_amount", amount, cause=cause)

    def _rows(self, connection: Connection[Any], name: str) -> list[Any]:
        return connection.execute(SQL[name], self._parameters).fetchall()
