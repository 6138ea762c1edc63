"""The balances as a migration found them, in two tables named for its run, and what puts them back.

The tables lie in a schema of their own: whoever may create them there can create nothing where others look things up.

A restore writes old figures; history and its marks stay as they are. It goes by key in short transactions, under the
same locks as a repair, so a consumer's increments land either before, and are overwritten, or after, and are kept.
Either way the balances then differ from history wherever something had changed, which is what a drift check reports.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection, sql

from backfill import runs
from backfill.execute import failure_written_down, record
from backfill.runs import BEFORE_ALL_KEYS, Run
from backfill.session import retried, snapshot
from backfill.steps.step import CHUNK_SIZE
from backfill.tally import Tally
from events.console import Format, print_json, say
from events.errors import StateError
from events.settings import Settings
from projector.roles import backups_of
from projector.statements import statements

SQL: Final = statements("backfill", "sql/backup.sql")
DRIFT_AHEAD: Final = (
    "History is not put back. A drift check will report these rows as drifted, with the cause projection-edited or "
    "customer-sum-off, wherever the later figures agreed with history; `backfill rebuild` undoes the restore."
)


class Backup(NamedTuple):
    """The two tables of one run's backup, and the schema they lie in."""

    schema: str
    meters: str
    customers: str

    def statement(self, name: str) -> sql.Composed:
        """Take a statement with the tables' names in it."""
        meters, customers = (sql.Identifier(self.schema, table) for table in (self.meters, self.customers))
        return sql.SQL(SQL[name]).format(meters=meters, customers=customers)


class Kind(NamedTuple):
    """The statements that restore one of the two tables."""

    next_keys: str
    differing: str
    hold: str
    restore: str


METERS: Final = Kind("next_meters_to_restore", "count_meters_to_restore", "hold_meters", "restore_meters")
CUSTOMERS: Final = Kind(
    "next_customers_to_restore", "count_customers_to_restore", "hold_customers", "restore_customers"
)


@dataclass(frozen=True, kw_only=True)
class Restored:
    """How many rows were put back, or in a dry run would be."""

    run: Run
    backup: Backup
    meters: int
    customers: int


def backup_of(settings: Settings, run_id: UUID) -> Backup:
    """Name the backup of a run."""
    schema = backups_of(settings.schema_name)
    return Backup(schema, f"backup_{run_id.hex}_meter_balances", f"backup_{run_id.hex}_customer_balances")


def back_up(settings: Settings, connection: Connection[Any], run_id: UUID) -> Backup:
    """Copy both tables as of one moment; consumers go on meanwhile."""
    backup = backup_of(settings, run_id)
    with snapshot(connection):
        for name in ("back_up_meters", "back_up_customers", "key_meter_backup", "key_customer_backup"):
            connection.execute(backup.statement(name))
    return backup


def find(settings: Settings, connection: Connection[Any], run_id: str) -> UUID:
    """Find the run of a backup.

    Raises:
        InputError: there is no such run.
        StateError: it left no backup.

    """
    run = runs.find(connection, run_id)
    backup = backup_of(settings, run.run_id)
    (there,) = connection.execute(SQL["backup_exists"], backup._asdict()).fetchone() or (False,)
    if not there:
        raise StateError(f"run {run_id} left no backup: only a `backfill migrate` that reached its fourth step does")
    return run.run_id


def restore(settings: Settings, connection: Connection[Any], migration: UUID, *, dry: bool) -> Restored:
    """Put the balances back as a migration's run found them, chunk by chunk."""
    backup = backup_of(settings, migration)
    run = runs.begin(connection, "restore", {"dry_run": dry, "chunk_size": CHUNK_SIZE, "restored": str(migration)})
    began = monotonic()
    with failure_written_down(settings, connection, run):
        meters = _restore(connection, backup, METERS, dry=dry)
        customers = _restore(connection, backup, CUSTOMERS, dry=dry)
        done = Tally(repaired=0 if dry else meters + customers, seconds=monotonic() - began)
        with connection.transaction(), connection.cursor() as cursor:
            run = replace(run, tally=done)
            runs.advance(cursor, run)
            run = runs.change_state(connection, run, "finished")
    record(run)
    return Restored(run=run, backup=backup, meters=meters, customers=customers)


def print_restored(restored: Restored, form: Format) -> None:
    """Say what was put back, and what a drift check will make of it."""
    dry, rows = restored.run.dry, restored.meters + restored.customers
    if form is Format.JSON:
        document = {
            "run_id": restored.run.run_id,
            "dry_run": dry,
            "backup": restored.backup._asdict(),
            "meters": restored.meters,
            "customers": restored.customers,
            "seconds": round(restored.run.tally.seconds, 3),
        }
        print_json(document)
        return
    banner = f"DRY RUN: nothing is changed. To apply: backfill restore {restored.run.options['restored']}"
    verb = "would be put back" if dry else "put back"
    if dry:
        say(banner)
    say(
        f"Result: {restored.meters:,} meters and {restored.customers:,} customers {verb}, the others show the same as "
        f"then. Duration: {restored.run.tally.seconds:,.1f} s."
    )
    if rows:
        say(DRIFT_AHEAD)
    if dry:
        say(banner)


def _restore(connection: Connection[Any], backup: Backup, kind: Kind, *, dry: bool) -> int:
    restored, after = 0, BEFORE_ALL_KEYS
    while ids := _next(connection, backup, kind, after):
        restored += _count(connection, backup, kind, ids) if dry else _put_back(connection, backup, kind, ids)
        after = ids[-1]
    return restored


def _next(connection: Connection[Any], backup: Backup, kind: Kind, after: int) -> list[int]:
    where = {"after": after, "size": CHUNK_SIZE}
    return [key for (key,) in connection.execute(backup.statement(kind.next_keys), where)]


def _count(connection: Connection[Any], backup: Backup, kind: Kind, ids: Sequence[int]) -> int:
    (count,) = connection.execute(backup.statement(kind.differing), {"ids": list(ids)}).fetchone() or (0,)
    return int(count)


def _put_back(connection: Connection[Any], backup: Backup, kind: Kind, ids: Sequence[int]) -> int:
    def transaction() -> int:
        with connection.transaction(), connection.cursor() as cursor:
            changed = _count(connection, backup, kind, ids)
            if not changed:
                return 0
            cursor.execute(backup.statement(kind.hold), {"ids": list(ids)})
            return cursor.execute(backup.statement(kind.restore), {"ids": list(ids)}).rowcount

    return retried(transaction)
