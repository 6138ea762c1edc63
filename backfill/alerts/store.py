"""The table `alerts`: the last alert of each cause, and the addresses that took it.

Addresses are stored as digests, because they contain secrets.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Json

from backfill.alerts.alert import Alert, Found
from backfill.alerts.decide import LastAlert
from projector.database.locks import Lock
from projector.database.statements import statements

SQL: Final = statements("backfill.alerts", "alerts.sql")
DECIDING: Final = Lock("deciding on alerts", of_schema=True)
DELIVERING: Final = Lock("sending alerts", of_schema=True)
IDS_MAX: Final = 5  # named in an alert; the run's findings have them all


def open_drift(connection: Connection[Any], run_id: UUID) -> dict[str, Found]:
    """Read by cause what a run found and what has not been repaired since."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(SQL["open_drift"], {"run_id": run_id, "ids_max": IDS_MAX})
        return {row["cause"]: Found(**row) for row in cursor}


def last_alerts(connection: Connection[Any]) -> dict[str, LastAlert]:
    """Read the last alert of each cause."""
    rows = connection.execute(SQL["last_alerts"])
    return {
        cause: LastAlert(state, _found(cause, digest, document), document["run_id"])
        for cause, state, digest, document in rows
    }


@contextmanager
def deciding(connection: Connection[Any]) -> Iterator[None]:
    """Keep other processes from deciding meanwhile: those that share a check end it together, and would all alert."""
    with connection.transaction():
        DECIDING.take_until_commit(connection)
        yield


@contextmanager
def delivering(connection: Connection[Any]) -> Iterator[bool]:
    """Keep other processes from sending meanwhile; False where another one sends: it delivers ours as well."""
    alone = DELIVERING.try_to_take(connection)
    try:
        yield alone
    finally:
        if alone and not connection.closed:
            DELIVERING.release(connection)


def resolved_causes(connection: Connection[Any]) -> set[str]:
    """Read the open causes of which everything that was alerted on has been repaired since."""
    return {cause for (cause,) in connection.execute(SQL["resolved_causes"])}


def save(connection: Connection[Any], alert: Alert, delivered_to: Iterable[str] = ()) -> None:
    """Store an alert."""
    values = {**alert._asdict(), "document": Json(alert.document), "delivered_to": list(delivered_to)}
    connection.execute(SQL["save_alert"], values)


def undelivered(connection: Connection[Any], address: str) -> list[tuple[int, dict[str, Any]]]:
    """Read the alerts that an address has not got: number and document of each."""
    return connection.execute(SQL["undelivered_alerts"], {"address": address}).fetchall()


def mark_delivered(connection: Connection[Any], alert_id: int, address: str) -> None:
    """Remember that an address has an alert."""
    connection.execute(SQL["mark_delivered"], {"alert_id": alert_id, "address": address})


def now() -> datetime:
    """Return the time that an alert carries."""
    return datetime.now(UTC)


def _found(cause: str, digest: str, document: dict[str, Any]) -> Found:
    amount = document["amount"]
    return Found(
        cause=cause,
        digest=digest,
        amount=None if amount is None else Decimal(amount),
        **{name: document[name] for name in ("meters", "customers", "findings", "first_meters", "first_customers")},
        detail=document["detail"],
    )
