"""One batch, one transaction: positions, dead letters, history and projection move together or not at all.

Invariants, each kept by every transaction of this module:

- A history row holds the greatest (version, event id) seen of its entity, of equal ones the one that stands sooner in
  its topic; and in `projected_amount` and `projected_meter_id` what the projection counts for it. Counted nowhere means
  a null meter and an amount of zero.
- A meter's totals and counts are the sums over the rows that carry its id in `projected_meter_id`.
- A customer's figures are the sums over the meter rows that carry its `customer_id`.
- A position stands behind exactly the messages whose effects are stored. With it stand the id of the topic that they
  were read from, which no batch changes, and what identifies the last of them.

Locks, taken in this order by every writer, so that none can wait in a circle:

0. dead letters, by id, where one is retried or discarded: whoever holds those never wants a position, and skips a row
   that another holds. A consumer inserts its own after its positions, and may wait there for a retry of that message;
1. positions, by topic and partition;
2. history: invoices, payments, assignments, customers, each by key;
3. meter rows by meter; 4. customer rows by customer.

A statement that reads what another consumer may be changing begins after the lock that covers it is held, and so sees
what that consumer committed:

- Contributions are replaced under the history row's own lock: the loser of a race for a row finds the winner's marks.
- A payment without a meter takes its invoice's, so it locks that invoice first, even one that has not arrived: a row of
  version 0 is inserted and deleted again, and whoever brings the invoice waits on its key until we are done, then looks
  for waiting payments in a later statement. If the invoice was first, we wait, and then find it.
- An invoice's payments are looked for, and locked, only where this batch brought the invoice or moved it to another
  meter, which is decided from the row before and after, under its lock; the search is a later statement. A payment that
  another consumer applies meanwhile holds the same invoice's lock until it commits: either that was before ours, and
  the search finds the payment, or it comes after us, and the payment finds the invoice where it now is. Where the meter
  stays the same, whichever version the payment meets says the same meter: a duplicate, an amended amount and a void
  need none of an invoice's payments, however many it has.
- The latest dates and the active customer are looked up while the meter's row is held, or as it is created. Whoever has
  changed history of that meter and not yet committed needs the same row next, and settles his own change after us.
- Which customer gains or loses a meter is read from that locked row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Connection, Cursor
from psycopg.types.json import Jsonb

from events.contract.types import ENTITIES, Message, Refusal
from projector.consume.batch import Batch, Staged, stage
from projector.consume.rows import COLUMNS
from projector.database.connections import tune
from projector.database.statements import statements
from projector.errors import PositionMoved
from projector.kafka_log.log_identity import digest_of

COPY_ROWS: Final = 1_000  # handed on at once: some hundred kilobytes
SIZES: Final = {"work_mem": "32MB", "temp_buffers": "32MB", "random_page_cost": "1.1", "enable_hashagg": "off"}
"""Sorting and joining a batch of the largest size stays in memory, said before the first temporary table. A batch
looks rows up by key, in pages that are mostly cached, so a lookup must not be priced like a disk's seek. Sums are taken
in the order of the keys, which is the order of the locks: hashing them first, then sorting, takes longer."""
MERGE: Final = statements("projector.consume", "merge.sql")
STAGING: Final = statements("projector.consume", "staging.sql")
POSITIONS: Final = statements("projector.positions", "positions.sql")
DEAD_LETTERS: Final = statements("projector.dead_letters", "dead_letters.sql")


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What one transaction did, in events."""

    events: int
    applied: int
    refused: int
    conflicts: int

    def __add__(self, other: "Applied") -> "Applied":
        """Sum two transactions."""
        return Applied(
            events=self.events + other.events,
            applied=self.applied + other.applied,
            refused=self.refused + other.refused,
            conflicts=self.conflicts + other.conflicts,
        )

    @property
    def stale(self) -> int:
        """Duplicates, and versions that a greater one had overtaken."""
        return self.events - self.applied - self.refused


def prepare(connection: Connection[Any]) -> None:
    """Give a new connection its staging tables; plan each statement anew, since batch sizes vary a thousandfold."""
    connection.autocommit = True  # so that each transaction block is a transaction, never a savepoint
    connection.prepare_threshold = None
    tune(connection, SIZES)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(STAGING["create_staging"])


def apply(connection: Connection[Any], batch: Batch, group_id: str, *, transaction_ms: float | None = None) -> Applied:
    """Apply a batch in one transaction on a prepared connection; `transaction_ms` tells how long the last one took.

    Raises:
        PositionMoved: another consumer moved one of the positions; nothing was changed.
        psycopg.Error: PostgreSQL refused; nothing was changed.

    """
    staged = stage(batch.items)
    with connection.transaction(), connection.cursor() as cursor:
        _move_positions(cursor, batch, group_id, transaction_ms)
        _keep_dead_letters(cursor, staged.refused, batch.topic_ids)
        applied, conflicts = apply_staged(cursor, staged)
        if conflicts:
            topic, partition = min(batch.start_offsets)
            where = {"group_id": group_id, "topic": topic, "partition": partition}
            cursor.execute(POSITIONS["add_conflicts"], {"conflicts": conflicts, **where})
    return Applied(events=len(batch.items), applied=applied, refused=len(staged.refused), conflicts=conflicts)


def apply_staged(cursor: Cursor[Any], staged: Staged) -> tuple[int, int]:
    """Fold staged rows into history and projection, in the caller's transaction on a prepared connection.

    Returns:
        How many rows replaced an older state or were new, and how many conflicts were met.

    """
    _copy(cursor, staged)
    return _merge(cursor, staged)


def _move_positions(cursor: Cursor[Any], batch: Batch, group_id: str, transaction_ms: float | None) -> None:
    places = sorted(batch.end_offsets)
    records = batch.last_records()
    last = [records.get(place) for place in places]
    cursor.execute(
        POSITIONS["move_positions"],
        {
            "group_id": group_id,
            "topics": [topic for topic, _ in places],
            "partitions": [partition for _, partition in places],
            "known": [batch.start_offsets[place] for place in places],
            "next": [batch.end_offsets[place] for place in places],
            "topic_ids": [batch.topic_ids.get(topic) for topic, _ in places],
            "last_offsets": [record and record.offset for record in last],
            "last_leader_epochs": [record and record.leader_epoch for record in last],
            "last_timestamps_ms": [record and record.timestamp_ms for record in last],
            "last_digests": [record and record.digest for record in last],
            "transaction_ms": transaction_ms,
        },
    )
    moved = set(cursor.fetchall())
    for place in places:
        if place not in moved:
            topic, partition = place
            raise PositionMoved(
                f"{topic}/{partition} is no longer at {batch.start_offsets[place]}: another consumer owns it"
            )


def _keep_dead_letters(
    cursor: Cursor[Any], refused: Sequence[tuple[Message, Refusal]], topic_ids: Mapping[str, str | None]
) -> None:
    if refused:
        letters = [_dead_letter(message, refusal, topic_ids.get(message.topic)) for message, refusal in refused]
        cursor.executemany(DEAD_LETTERS["keep_dead_letters"], letters)


def _dead_letter(message: Message, refusal: Refusal, topic_id: str | None) -> dict[str, Any]:
    headers = [[name, None if value is None else value.hex()] for name, value in message.headers]
    return {
        **message._asdict(),
        "topic_id": topic_id,
        "digest": digest_of(message),
        "headers": Jsonb(headers),
        "reason": refusal.reason,
        "detail": refusal.detail,
    }


def _copy(cursor: Cursor[Any], staged: Staged) -> None:
    for entity in ENTITIES:
        if rows := staged.rows[entity]:
            with cursor.copy(f"COPY staged_{entity} ({COLUMNS[entity]}) FROM STDIN") as copy:
                for first in range(0, len(rows), COPY_ROWS):
                    copy.write("\n".join([*rows[first : first + COPY_ROWS], ""]))


def _merge(cursor: Cursor[Any], staged: Staged) -> tuple[int, int]:
    """Run the statements that this batch needs; return events applied and conflicts."""
    steps = _History(cursor)
    if staged.rows["invoices"] or staged.rows["payments"]:
        steps.invoices_and_payments()
    if staged.rows["assignments"]:
        steps.merge("merge_assignments")
    if staged.rows["customers"]:
        steps.merge("merge_customers")
    conflicts = staged.conflicts + steps.conflicts
    if steps.applied < sum(map(len, staged.rows.values())):
        conflicts += _value(cursor.execute(MERGE["count_conflicts"]))
    if cursor.execute(MERGE["merge_meters"]).rowcount:
        cursor.execute(MERGE["settle_meters"])
        cursor.execute(MERGE["merge_customer_balances"])
    return steps.applied, conflicts


@dataclass
class _History:
    """The history statements, and the sums of what they report."""

    cursor: Cursor[Any]
    applied: int = 0
    conflicts: int = 0

    def invoices_and_payments(self) -> None:
        locked = self.cursor.execute(MERGE["stage_invoice_locks"]).rowcount
        (moved,) = self.merge("merge_invoices")
        if locked:
            self.cursor.execute(MERGE["drop_invoice_locks"])
        followers = self.cursor.execute(MERGE["stage_payment_locks"], {"moved": moved}).rowcount if moved else 0
        self.merge("merge_payments")
        if followers:
            self.cursor.execute(MERGE["drop_payment_locks"])
        if moved:
            self.cursor.execute(MERGE["follow_invoices"], {"moved": moved})

    def merge(self, name: str) -> Sequence[Any]:
        """Run a statement that reports rows applied, conflicts met, and perhaps more; return the rest."""
        applied, conflicts, *more = self.cursor.execute(MERGE[name]).fetchone() or (0, 0)
        self.applied += applied
        self.conflicts += conflicts
        return more


def _value(cursor: Cursor[Any]) -> int:
    row = cursor.fetchone()
    return int(row[0]) if row else 0
