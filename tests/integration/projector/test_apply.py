"""What one transaction does: each message counted once, each refusal kept, each position moved."""

from dataclasses import replace
from typing import Any, Self

import pytest
from psycopg import Cursor
from sqlalchemy import Engine, text

from events.contract.types import Message, Refusal, topic_of
from projector.consume import merge
from projector.consume.applied import Applied
from projector.consume.batch import Batch, make_item
from projector.errors import PositionMovedError
from projector.kafka_log.log_identity import record_of
from tests.support.examples import CloudEvent, assigned, customer, invoice, payment
from tests.support.merge_harness import MergeHarness, disagreement

SPOILT: CloudEvent = {**invoice(9, 1, "1.00"), "specversion": "0.3"}


def test_everything_is_counted_once(harness: MergeHarness, engine: Engine) -> None:
    first = [
        customer(7, "Asha"), assigned(1, 1, 7), invoice(1, 1, "10.00"), invoice(1, 1, "11.00", event_id="b"),
        payment(1, "4.00", invoice_id=1), payment(2, "3.00", invoice_id=5), customer(7, "Asha"), SPOILT,
    ]  # fmt: skip
    done = harness.apply(first)
    named: tuple[str, ...] = (_named(harness, "invoice 1", 1, 0),)
    assert done == Applied(events=8, applied=5, refused=1, conflicts=1, first_conflicts=named)
    assert done.stale == 2
    second = [
        customer(7, "Brian"), assigned(1, 1, 8), assigned(1, 1, 9, version=2), invoice(5, 1, "2.00"),
        invoice(1, 1, "12.00"), payment(1, "5.00", invoice_id=1), payment(2, "3.00", invoice_id=5, version=2),
    ]  # fmt: skip
    named = (
        _named(harness, "customer 7", 2, 0),
        _named(harness, "invoice 1", 4, 1),
        _named(harness, "payment 1", 2, 0),
    )
    assert harness.apply(second) == Applied(events=7, applied=3, refused=0, conflicts=3, first_conflicts=named)
    assert not disagreement(engine, [event for event in first + second if event is not SPOILT])
    with engine.connect() as connection:
        conflicts = text("SELECT topic, conflicts FROM positions ORDER BY topic")
        assert connection.execute(conflicts).all() == [
            (f"{harness.settings.topic_prefix}.{entity}", number)
            for entity, number in (("assignments", 0), ("customers", 1), ("invoices", 2), ("payments", 1))
        ]


def test_winners_of_several_kinds_over_their_own_version_are_all_conflicts(harness: MergeHarness) -> None:
    pairs = [
        (customer(7, "Asha"), customer(7, "Brian", event_id="b")),
        (assigned(1, 1, 7), assigned(1, 1, 8, event_id="b")),
        (invoice(1, 1, "1.00"), invoice(1, 1, "2.00", event_id="b")),
        (payment(1, "1.00"), payment(1, "2.00", event_id="b")),
    ]
    harness.apply([loser for loser, _ in pairs])
    done = harness.apply([winner for _, winner in pairs])
    named = tuple(_named(harness, each, 1, 0) for each in ("customer 7", "assignment 1", "invoice 1", "payment 1"))
    assert done == Applied(events=4, applied=4, refused=0, conflicts=4, first_conflicts=named)
    lost, within = customer(7, "Chebet"), [customer(8, "Dede"), customer(8, "Eunice", event_id="b")]
    won = customer(9, "Fadhili", event_id="b")
    harness.apply([customer(9, "Gakuo")])
    named = tuple(
        _named(harness, f"customer {key}", offset, other) for key, offset, other in ((7, 3, 1), (8, 5, 4), (9, 6, 2))
    )
    assert harness.apply([lost, *within, won]) == Applied(
        events=4, applied=2, refused=0, conflicts=3, first_conflicts=named
    )


@pytest.mark.parametrize(
    "events",
    [
        [customer(1, "Asha")],
        [assigned(1, 1, 7)],
        [payment(1, "4.00", meter_id=1)],
        [invoice(1, 1, "4.00"), invoice(2, None, "4.00")],
        [SPOILT],
        [],
    ],
)
def test_a_batch_of_one_kind(harness: MergeHarness, engine: Engine, events: list[CloudEvent]) -> None:
    good = [event for event in events if event is not SPOILT]
    done = harness.apply(events)
    assert done == Applied(events=len(events), applied=len(good), refused=len(events) - len(good), conflicts=0)
    assert not disagreement(engine, good)
    assert harness.apply(good).applied == 0


def test_more_rows_than_are_handed_on_at_once(
    harness: MergeHarness, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "COPY_ROWS", 2)
    events = [invoice(n, 1, f"{n}.00") for n in range(1, 6)]
    assert harness.apply(events).applied == 5
    assert not disagreement(engine, events)


def test_a_refused_message_is_kept_to_the_byte(harness: MergeHarness, engine: Engine) -> None:
    topic = topic_of("invoices", harness.settings.topic_prefix)
    headers = (("x", b"\x00\xff"), ("none", None), ("empty", b""))
    message = Message(topic, 0, 0, 1_767_225_600_123, b"\x00k", b"\xff{", headers)
    batch = Batch(
        items=[make_item(message, Refusal("not-json", "why"))],
        start_offsets={(topic, 0): 0},
        end_offsets={(topic, 0): 1},
    )
    batch = _of_topics(harness, batch, {topic: "first"})
    assert merge.apply(harness.connection, batch, harness.settings.group_id).refused == 1
    kept: dict[str, Any] = {
        "topic": topic, "partition": 0, "source_offset": 0, "timestamp_ms": 1_767_225_600_123, "reason": "not-json",
        "detail": "why", "key": b"\x00k", "value": b"\xff{", "headers": [["x", "00ff"], ["none", None], ["empty", ""]],
        "state": "open", "attempts": 0, "topic_id": "first",
    }  # fmt: skip
    with engine.connect() as connection:
        (row,) = connection.execute(text(f"SELECT {', '.join(kept)} FROM dead_letters")).mappings()
        assert dict(row) == kept


def test_every_position_moves_and_the_one_that_does_not_is_named(harness: MergeHarness, engine: Engine) -> None:
    batch = harness.batch([invoice(1, 1, "1.00"), payment(1, "1.00"), payment(2, "1.00")])
    merge.apply(harness.connection, batch, harness.settings.group_id, transaction_ms=12.5)
    prefix = harness.settings.topic_prefix
    with engine.connect() as connection:
        columns = "topic, partition, next_offset, transaction_ms"
        moved = text(f"SELECT {columns} FROM positions WHERE next_offset > 0 ORDER BY topic")
        assert connection.execute(moved).all() == [
            (f"{prefix}.invoices", 0, 1, 12.5),
            (f"{prefix}.payments", 0, 2, 12.5),
        ]
    said = f"{prefix}.invoices/0 is no longer at 0: another consumer owns it"
    with pytest.raises(PositionMovedError) as raised:
        merge.apply(harness.connection, batch, harness.settings.group_id)
    assert str(raised.value) == said


def test_a_position_keeps_the_topic_and_the_last_message_that_it_stands_behind(
    harness: MergeHarness, engine: Engine
) -> None:
    prefix = harness.settings.topic_prefix
    ids: dict[str, str | None] = {f"{prefix}.invoices": "first", f"{prefix}.payments": "second"}
    batch = _of_topics(harness, harness.batch([invoice(1, 1, "1.00"), invoice(2, 1, "2.00"), payment(1, "1.00")]), ids)
    harness.apply_batch(batch)
    last = [record_of(batch.items[1].message), record_of(batch.items[2].message)]
    with engine.connect() as connection:
        columns = "topic, topic_id, last_offset, last_leader_epoch, last_timestamp_ms, last_digest"
        kept = text(f"SELECT {columns} FROM positions WHERE next_offset > 0 ORDER BY topic")
        assert [tuple(row) for row in connection.execute(kept)] == [
            (topic, topic_id, record.offset, record.leader_epoch, record.timestamp_ms, record.digest)
            for (topic, topic_id), record in zip(ids.items(), last, strict=True)
        ]
    another = replace(harness.batch([invoice(3, 1, "3.00")]), topic_ids={f"{prefix}.invoices": "third"})
    with pytest.raises(PositionMovedError):
        harness.apply_batch(another)


def test_an_invoice_that_was_only_locked_leaves_no_row(harness: MergeHarness, engine: Engine) -> None:
    harness.apply([payment(1, "4.00", invoice_id=5)])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM invoices")).scalar() == 0


def test_a_payment_that_a_hand_deletes_before_it_is_locked_leaves_no_row(harness: MergeHarness, engine: Engine) -> None:
    harness.apply([payment(1, "4.00", invoice_id=5)])

    class Meddled(Cursor[Any]):
        def execute(self, query: Any, *arguments: Any, **named: Any) -> Self:  # noqa: ANN401 - handed on as they are
            super().execute(query, *arguments, **named)
            if query == merge.MERGE["stage_payment_locks"]:
                with engine.begin() as hand:
                    assert hand.execute(text("DELETE FROM payments")).rowcount == 1
            return self

    harness.connection.cursor_factory = Meddled
    harness.apply([invoice(5, 1, "10.00")])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM payments")).scalar() == 0


def test_a_prepared_connection_has_its_staging_tables_and_plans_anew(harness: MergeHarness) -> None:
    assert harness.connection.autocommit
    assert harness.connection.prepare_threshold is None
    assert harness.connection.execute("SELECT count(*) FROM staged_invoices").fetchone() == (0,)


def _named(harness: MergeHarness, what: str, offset: int, other: int) -> str:
    """Name a conflict: an event such as `invoice 1`, where it stands, and where the other one does."""
    partition, topic = harness.partition, f"{harness.settings.topic_prefix}.{what.split(' ', maxsplit=1)[0]}s"
    return f"{topic}/{partition}@{offset} and {partition}@{other} ({what}, version 1)"


def _of_topics(harness: MergeHarness, batch: Batch, topic_ids: dict[str, str | None]) -> Batch:
    """Let positions and batch be of the topics with these ids."""
    with harness.connection.transaction(), harness.connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE positions SET topic_id = %s WHERE topic = %s",
            [(topic_id, topic) for topic, topic_id in topic_ids.items()],
        )
    return replace(batch, topic_ids=topic_ids)
