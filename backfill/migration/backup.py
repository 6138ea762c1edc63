"""The balances as a migration found them, kept as rows of its run in tables of the schema's owner; and their restore.

A restore may be run by a user with more rights than the one that migrated. So it reads no object that the other user
could have made: a view, a policy, an index expression or a type of theirs would run with the rights of the reader.

A restore writes old figures; history and its marks stay as they are. It works by key in short transactions, under the
same locks as a repair, so a consumer's increment comes either before it, and is overwritten, or after it, and is kept.
Either way the balances then differ from history wherever something had changed, and a drift check reports that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor

from backfill.audit import comparison, repair
from backfill.execution.runner import failure_written_down, record
from backfill.migration.step import CHUNK_SIZE
from backfill.runs import store as runs
from backfill.runs.session import retried, snapshot
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Tally
from events.runtime.console import Format, print_json, say
from events.runtime.errors import StateError
from events.runtime.settings import Settings
from events.runtime.wording import counted
from projector.database.statements import statements

SQL: Final = statements("backfill.migration", "backup.sql")
DRIFT_AHEAD: Final = (
    "History is not restored. A drift check will report these rows as drifted, with the cause projection-edited or "
    "customer-sum-off, wherever the later figures agreed with history; `backfill rebuild` undoes the restore."
)


class Backup(NamedTuple):
    """The copy that a run made, with the number of rows of each table."""

    run_id: str
    meters: int
    customers: int

    @property
    def rows(self) -> str:
        """What was copied, in words."""
        return f"{counted(self.meters, 'meter')} and {counted(self.customers, 'customer')}"


class Kind(NamedTuple):
    """The statements that restore one of the two tables."""

    next_keys: str
    differing: str
    lock: Callable[[Cursor[Any], Sequence[int]], None]
    restore: str


def _lock_meters(cursor: Cursor[Any], ids: Sequence[int]) -> None:
    comparison.add_meters_to_scope(cursor, ids)
    repair.lock_meters(cursor)


def _lock_customers(cursor: Cursor[Any], ids: Sequence[int]) -> None:
    repair.add_customers(cursor, ids)
    repair.lock_customers(cursor)


METERS: Final = Kind("next_meters_to_restore", "count_meters_to_restore", _lock_meters, "restore_meters")
CUSTOMERS: Final = Kind("next_customers_to_restore", "count_customers_to_restore", _lock_customers, "restore_customers")


@dataclass(frozen=True, kw_only=True)
class Restored:
    """How many rows were restored, or would be in a dry run, and from whose backup."""

    run: Run
    migration: UUID
    meters: int
    customers: int


def back_up(connection: Connection[Any], run_id: UUID) -> Backup:
    """Copy both tables as of one moment, while consumers run."""
    of_run = {"run_id": run_id}
    with snapshot(connection):
        connection.execute(SQL["begin_backup"], of_run)
        meters = connection.execute(SQL["back_up_meters"], of_run).rowcount
        customers = connection.execute(SQL["back_up_customers"], of_run).rowcount
    return Backup(str(run_id), meters, customers)


def find(connection: Connection[Any], run_id: str) -> UUID:
    """Find the run of a backup.

    Raises:
        InputError: there is no such run.
        StateError: it made no backup.

    """
    run = runs.find(connection, run_id)
    (there,) = connection.execute(SQL["backup_exists"], {"run_id": run.run_id}).fetchone() or (False,)
    if not there:
        raise StateError(
            f"run {run_id} made no backup: only a `backfill migrate` that reaches its fourth step makes one"
        )
    return run.run_id


def restore(settings: Settings, connection: Connection[Any], migration: UUID, *, dry: bool) -> Restored:
    """Restore the balances as a migration's run found them, chunk by chunk."""
    run = runs.begin(connection, "restore", {"dry_run": dry, "chunk_size": CHUNK_SIZE, "restored": str(migration)})
    began = monotonic()
    with failure_written_down(settings, connection, run):
        meters = _restore(connection, migration, METERS, dry=dry)
        customers = _restore(connection, migration, CUSTOMERS, dry=dry)
        done = Tally(repaired=0 if dry else meters + customers, seconds=monotonic() - began)
        with connection.transaction(), connection.cursor() as cursor:
            run = replace(run, tally=done)
            runs.advance(cursor, run)
            run = runs.change_state(connection, run, "finished")
    record(run)
    return Restored(run=run, migration=migration, meters=meters, customers=customers)


def print_restored(restored: Restored, form: Format) -> None:
    """Print what was restored, and what a drift check will report."""
    dry, rows = restored.run.dry, restored.meters + restored.customers
    if form is Format.JSON:
        document = {
            "run_id": restored.run.run_id,
            "dry_run": dry,
            "restored": restored.migration,
            "meters": restored.meters,
            "customers": restored.customers,
            "seconds": round(restored.run.tally.seconds, 3),
        }
        print_json(document)
        return
    banner = f"DRY RUN: nothing is changed. To apply: backfill restore {restored.run.options['restored']}"
    verb = "would be restored" if dry else "restored"
    if dry:
        say(banner)
    say(
        f"Result: {counted(restored.meters, 'meter')} and {counted(restored.customers, 'customer')} {verb}; the "
        f"others are as they were then. Duration: {restored.run.tally.seconds:,.1f} s."
    )
    if rows:
        say(DRIFT_AHEAD)
    if dry:
        say(banner)


def _restore(connection: Connection[Any], migration: UUID, kind: Kind, *, dry: bool) -> int:
    restored, after = 0, BEFORE_ALL_KEYS
    while ids := _next(connection, migration, kind, after):
        restored += _count(connection, migration, kind, ids) if dry else _put_back(connection, migration, kind, ids)
        after = ids[-1]
    return restored


def _next(connection: Connection[Any], migration: UUID, kind: Kind, after: int) -> list[int]:
    where = {"run_id": migration, "after": after, "size": CHUNK_SIZE}
    return [key for (key,) in connection.execute(SQL[kind.next_keys], where)]


def _count(connection: Connection[Any], migration: UUID, kind: Kind, ids: Sequence[int]) -> int:
    where = {"run_id": migration, "ids": list(ids)}
    (count,) = connection.execute(SQL[kind.differing], where).fetchone() or (0,)
    return int(count)


def _put_back(connection: Connection[Any], migration: UUID, kind: Kind, ids: Sequence[int]) -> int:
    where = {"run_id": migration, "ids": list(ids)}

    def transaction() -> int:
        with connection.transaction(), connection.cursor() as cursor:
            changed = _count(connection, migration, kind, ids)
            if not changed:
                return 0
            kind.lock(cursor, ids)
            return cursor.execute(SQL[kind.restore], where).rowcount

    return retried(transaction)
