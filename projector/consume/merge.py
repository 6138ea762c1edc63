"""One batch, one transaction: positions, dead letters, history and projection move together or not at all.

Invariants, each kept by every transaction of this module:

- A history row holds the greatest (version, event id) that was applied for its entity; of equal ones, the one at the
  lower offset. Its `projected_amount` and `projected_meter_id` hold what the projection counts for it; for a row that
  counts nowhere, they are zero and null.
- A meter's totals and counts are the sums over the rows whose `projected_meter_id` is that meter.
- A customer's figures are the sums over the meter rows whose `customer_id` is that customer.
- An assignment's `active` says whether it is in effect as of the clock (`assignment_clock.through`): begun by then, and
  not ended by then. A row whose `ended` is null was loaded by hand; its `active` is what whoever loaded it said.
- A meter's `customer_id` is that of its latest active assignment.
- A position is the offset after exactly the messages whose effects are stored. Its row also holds the id of the topic
  that was read, which no batch changes, and what identifies the last message applied.

Every writer takes locks in this order, so there is no deadlock between writers. Only a replay may have to leave the
order, and says so (`projector.replay.replay`):

0. dead letters, by id, when one is retried or discarded. Such a transaction never locks a position, and skips a dead
   letter that another transaction has locked. A consumer inserts its dead letters after locking its positions, and may
   wait there for a retry of the same message;
1. positions, by topic and partition;
2. history: invoices and payments, each by key;
3. the clock: shared by whoever writes assignments, exclusively by whoever moves it (`projector.consume.clock`);
4. history: assignments and customers, each by key;
5. meter rows, by meter;
6. customer rows, by customer.

A statement that reads rows which another consumer may be changing starts after the lock that covers them is held, so
it sees what that consumer committed:

- A row's contribution is replaced while the row is locked: of two consumers that update the same row, the second sees
  the contribution that the first stored.
- A payment without a meter counts for its invoice's meter. It therefore locks the invoice first, even one that has not
  arrived: a row of version 0 is inserted and deleted again in the same transaction. A consumer that inserts the
  invoice meanwhile waits for that key until we commit, and searches for waiting payments in a later statement. If the
  invoice was inserted first, we wait, and then read it.
- An invoice's payments are searched for and locked only if this batch inserted the invoice or changed its meter. This
  is decided from the invoice's row before and after, while it is locked, and the search is a later statement. A
  consumer that applies such a payment meanwhile holds the same invoice's lock until it commits. If it commits before
  we get the lock, our search finds the payment; if it gets the lock after our commit, it reads the invoice's new
  meter. If the invoice's meter does not change, every version of the invoice names the same meter, so a duplicate, an
  amended amount or a void needs none of its payments, however many there are.
- Which of a batch's assignments are active depends on the clock. The statement that merges them locks the clock first
  and keeps it until the commit, so all assignments of a transaction are merged at one clock. A batch without
  assignments changes no customer of a meter and does not need the clock.
- The latest dates and the active customer are looked up while the meter's row is locked, or as it is inserted. Another
  consumer with uncommitted history of that meter needs the same row next, and applies its own change after ours.
- Which customer gains or loses a meter is read from that locked row.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from psycopg import Connection, Cursor

from events.contract.types import ENTITIES, Entity
from events.runtime.errors import StateError
from projector.consume import dead_letters
from projector.consume.applied import Applied
from projector.consume.batch import Batch, Conflicts, Positions, Staged, stage
from projector.consume.conflicts import first_seen, named, names, read
from projector.consume.rows import COLUMNS
from projector.database.connections import tune
from projector.database.statements import statements
from projector.errors import PositionMovedError
from projector.positions import store as positions
from projector.positions.store import Advance

COPY_ROWS: Final = 1_000  # sent at once: some hundred kilobytes
SIZES: Final = {"work_mem": "32MB", "temp_buffers": "32MB", "random_page_cost": "1.1", "enable_hashagg": "off"}
"""Set before the first temporary table exists. Sorts and joins of the largest batch stay in memory. A batch looks up
rows by key in pages that are mostly cached, so a lookup must not cost as much as a disk seek. Sums are taken in key
order, which is also the order of the locks: hashing first and sorting afterwards takes longer."""
MERGE: Final = statements("projector.consume", "merge.sql")
STAGING: Final = statements("projector.consume", "staging.sql")


def prepare(connection: Connection[Any]) -> None:
    """Create the staging tables of a new connection; plan every execution, because batch sizes vary a thousandfold."""
    connection.autocommit = True  # so that each transaction block is a transaction, never a savepoint
    connection.prepare_threshold = None
    tune(connection, SIZES)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(STAGING["create_staging"])


def apply(
    connection: Connection[Any],
    batch: Batch,
    group_id: str,
    *,
    transaction_ms: float | None = None,
    lap: Callable[[str], None] = lambda _: None,
) -> Applied:
    """Apply a batch in one transaction on a prepared connection.

    Args:
        connection: prepared by `prepare`.
        batch: what to apply.
        group_id: whose positions.
        transaction_ms: how long the previous transaction took.
        lap: called with the name of each stage as it ends: reduce, positions, copy, merge, commit.

    Raises:
        PositionMovedError: another consumer has moved one of the positions; nothing was changed.
        psycopg.Error: PostgreSQL refused; nothing was changed.

    """
    staged = stage(batch.items)
    lap("reduce")
    with connection.transaction(), connection.cursor() as cursor:
        counted_to = _move_positions(cursor, batch, group_id, transaction_ms)
        dead_letters.keep(cursor, staged.refused, batch.topic_ids)
        lap("positions")
        _copy(cursor, staged)
        lap("copy")
        applied, found = _merge(cursor, staged)
        if conflicts := first_seen(named(batch.items, found), counted_to):
            positions.add_conflicts(cursor, group_id, Counter(each.place for each in conflicts))
        lap("merge")
    lap("commit")
    return Applied(
        events=len(batch.items), applied=applied.total(), refused=len(staged.refused), conflicts=len(conflicts),
        first_conflicts=names(conflicts), by_entity=applied,
    )  # fmt: skip


def apply_staged(cursor: Cursor[Any], staged: Staged) -> Conflicts:
    """Apply staged rows to history and projection, in the caller's transaction on a prepared connection.

    Returns:
        The conflicts.

    """
    _copy(cursor, staged)
    return _merge(cursor, staged)[1]


def apply_changes(cursor: Cursor[Any]) -> None:
    """Apply the changes that history's merge, or the clock, recorded: to meters, then to customers."""
    if cursor.execute(MERGE["merge_meters"]).rowcount:
        cursor.execute(MERGE["settle_meters"])
        cursor.execute(MERGE["merge_customer_balances"])


def clear_changes(cursor: Cursor[Any]) -> None:
    """Clear the recorded changes before others of the same transaction; a commit clears them, too."""
    cursor.execute(MERGE["clear_changes"])
    cursor.execute(MERGE["clear_touched_meters"])


def _move_positions(cursor: Cursor[Any], batch: Batch, group_id: str, transaction_ms: float | None) -> Positions:
    last = batch.last_records()
    advances = {
        place: Advance(
            start=batch.start_offsets[place], end=end, topic_id=batch.topic_ids.get(place[0]), last=last.get(place)
        )
        for place, end in batch.end_offsets.items()
    }
    moved = positions.move(cursor, group_id, advances, transaction_ms)
    if missing := sorted(advances.keys() - moved.keys()):
        (topic, partition), start = missing[0], advances[missing[0]].start
        raise PositionMovedError(f"{topic}/{partition} is no longer at {start}: another consumer owns it")
    return moved


def _copy(cursor: Cursor[Any], staged: Staged) -> None:
    for entity in ENTITIES:
        if rows := staged.rows[entity]:
            with cursor.copy(f"COPY staged_{entity} ({COLUMNS[entity]}) FROM STDIN") as copy:
                for first in range(0, len(rows), COPY_ROWS):
                    copy.write("\n".join([*rows[first : first + COPY_ROWS], ""]))


def _merge(cursor: Cursor[Any], staged: Staged) -> tuple[Counter[Entity], Conflicts]:
    """Run the statements that this batch needs; return how many rows were new or newer, and the conflicts."""
    applied = Counter[Entity]()
    found = {**staged.conflicts}  # an event may conflict with one of its batch and with a stored row
    if staged.rows["invoices"] or staged.rows["payments"]:
        applied["invoices"], applied["payments"], of_both = _merge_invoices_and_payments(cursor)
        found.update(of_both)
    others: list[tuple[Entity, str]] = [("assignments", "merge_assignments"), ("customers", "merge_customers")]
    for entity, statement in others:
        if staged.rows[entity]:
            more, places, *clocks = _only_row(cursor.execute(MERGE[statement]))
            if clocks == [0]:
                raise StateError("the row of assignment_clock is missing: insert one, then run `backfill rebuild`")
            applied[entity] += more
            found.update(read(entity, places))
    if applied.total() < sum(map(len, staged.rows.values())):
        for entity, places in zip(ENTITIES, _only_row(cursor.execute(MERGE["find_conflicts"])), strict=True):
            found.update(read(entity, places))
    apply_changes(cursor)
    return applied, found


def _merge_invoices_and_payments(cursor: Cursor[Any]) -> tuple[int, int, Conflicts]:
    """Merge both, each row locked first that decides where another one counts; return rows applied and conflicts."""
    locked = cursor.execute(MERGE["stage_invoice_locks"]).rowcount
    invoices, places, moved = _only_row(cursor.execute(MERGE["merge_invoices"]))
    if locked:
        cursor.execute(MERGE["drop_invoice_locks"])
    followers = cursor.execute(MERGE["stage_payment_locks"], {"moved": moved}).rowcount if moved else 0
    payments, more_places = _only_row(cursor.execute(MERGE["merge_payments"]))
    if followers:
        cursor.execute(MERGE["drop_payment_locks"])
    if moved:
        cursor.execute(MERGE["follow_invoices"], {"moved": moved})
    return invoices, payments, dict([*read("invoices", places), *read("payments", more_places)])


def _only_row(cursor: Cursor[Any]) -> tuple[Any, ...]:
    """Return the row of a statement that always returns one."""
    [row] = cursor.fetchall()
    return tuple(row)
