"""What one transaction does: each message counted once, each refusal kept, each position moved."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self

import pytest
from psycopg import Cursor
from sqlalchemy import Engine, text

from events.contract.types import Message, Refusal, topic_of
from events.runtime.settings import Settings
from projector.consume import merge
from projector.consume.batch import Batch, make_item
from projector.consume.merge import Applied
from projector.errors import PositionMoved
from projector.kafka_log.log_identity import record_of
from tests.support.examples import CloudEvent, assigned, customer, invoice, payment
from tests.support.merge_harness import Lane, disagreement

SPOILT: CloudEvent = {**invoice(9, 1, "1.00"), "specversion": "0.3"}


@pytest.fixture
def lane(engine: Engine, settings: Settings) -> Iterator[Lane]:
    made = Lane(engine, settings)
    yield made
    made.close()


def test_everything_is_counted_once(lane: Lane, engine: Engine) -> None:
    first = [
        customer(7, "Asha"), assigned(1, 1, 7), invoice(1, 1, "10.00"), invoice(1, 1, "11.00", event_id="b"),
        payment(1, "4.00", invoice_id=1), payment(2, "3.00", invoice_id=5), customer(7, "Asha"), SPOILT,
    ]  # fmt: skip
    done = lane.apply(first)
    assert done == Applied(events=8, applied=5, refused=1, conflicts=1)
    assert done.stale == 2
    second = [
        customer(7, "Brian"), assigned(1, 1, 8), assigned(1, 1, 9, version=2), invoice(5, 1, "2.00"),
        invoice(1, 1, "12.00"), payment(1, "5.00", invoice_id=1), payment(2, "3.00", invoice_id=5, version=2),
    ]  # fmt: skip
    assert lane.apply(second) == Applied(events=7, applied=3, refused=0, conflicts=3)
    assert not disagreement(engine, [event for event in first + second if event is not SPOILT])
    with engine.connect() as connection:
        conflicts = text("SELECT topic, conflicts FROM positions WHERE conflicts > 0")
        assert connection.execute(conflicts).all() == [(f"{lane.settings.topic_prefix}.assignments", 4)]


def test_winners_of_several_kinds_over_their_own_version_are_all_conflicts(lane: Lane) -> None:
    pairs = [
        (customer(7, "Asha"), customer(7, "Brian", event_id="b")),
        (assigned(1, 1, 7), assigned(1, 1, 8, event_id="b")),
        (invoice(1, 1, "1.00"), invoice(1, 1, "2.00", event_id="b")),
        (payment(1, "1.00"), payment(1, "2.00", event_id="b")),
    ]
    lane.apply([loser for loser, _ in pairs])
    done = lane.apply([winner for _, winner in pairs])
    assert done == Applied(events=4, applied=4, refused=0, conflicts=4)
    lost, within = customer(7, "Chebet"), [customer(8, "Dede"), customer(8, "Eunice", event_id="b")]
    won = customer(9, "Fadhili", event_id="b")
    lane.apply([customer(9, "Gakuo")])
    assert lane.apply([lost, *within, won]) == Applied(events=4, applied=2, refused=0, conflicts=3)


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
def test_a_batch_of_one_kind(lane: Lane, engine: Engine, events: list[CloudEvent]) -> None:
    good = [event for event in events if event is not SPOILT]
    done = lane.apply(events)
    assert done == Applied(events=len(events), applied=len(good), refused=len(events) - len(good), conflicts=0)
    assert not disagreement(engine, good)
    assert lane.apply(good).applied == 0


def test_more_rows_than_are_handed_on_at_once(lane: Lane, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "COPY_ROWS", 2)
    events = [invoice(n, 1, f"{n}.00") for n in range(1, 6)]
    assert lane.apply(events).applied == 5
    assert not disagreement(engine, events)


def test_a_refused_message_is_kept_to_the_byte(lane: Lane, engine: Engine) -> None:
    topic = topic_of("invoices", lane.settings.topic_prefix)
    headers = (("x", b"\x00\xff"), ("none", None), ("empty", b""))
    message = Message(topic, 0, 0, 1_767_225_600_123, b"\x00k", b"\xff{", headers)
    batch = Batch(
        items=[make_item(message, Refusal("not-json", "why"))],
        start_offsets={(topic, 0): 0},
        end_offsets={(topic, 0): 1},
    )
    batch = _of_topics(lane, batch, {topic: "first"})
    assert merge.apply(lane.connection, batch, lane.settings.group_id).refused == 1
    kept: dict[str, Any] = {
        "topic": topic, "partition": 0, "source_offset": 0, "timestamp_ms": 1_767_225_600_123, "reason": "not-json",
        "detail": "why", "key": b"\x00k", "value": b"\xff{", "headers": [["x", "00ff"], ["none", None], ["empty", ""]],
        "state": "open", "attempts": 0, "topic_id": "first",
    }  # fmt: skip
    with engine.connect() as connection:
        (row,) = connection.execute(text(f"SELECT {', '.join(kept)} FROM dead_letters")).mappings()
        assert dict(row) == kept


def test_every_position_moves_and_the_one_that_does_not_is_named(lane: Lane, engine: Engine) -> None:
    batch = lane.batch([invoice(1, 1, "1.00"), payment(1, "1.00"), payment(2, "1.00")])
    merge.apply(lane.connection, batch, lane.settings.group_id, transaction_ms=12.5)
    prefix = lane.settings.topic_prefix
    with engine.connect() as connection:
        columns = "topic, partition, next_offset, transaction_ms"
        moved = text(f"SELECT {columns} FROM positions WHERE next_offset > 0 ORDER BY topic")
        assert connection.execute(moved).all() == [
            (f"{prefix}.invoices", 0, 1, 12.5),
            (f"{prefix}.payments", 0, 2, 12.5),
        ]
    said = f"{prefix}.invoices/0 is no longer at 0: another consumer owns it"
    with pytest.raises(PositionMoved) as raised:
        merge.apply(lane.connection, batch, lane.settings.group_id)
    assert str(raised.value) == said


def test_a_position_keeps_the_topic_and_the_last_message_that_it_stands_behind(lane: Lane, engine: Engine) -> None:
    prefix = lane.settings.topic_prefix
    ids: dict[str, str | None] = {f"{prefix}.invoices": "first", f"{prefix}.payments": "second"}
    batch = _of_topics(lane, lane.batch([invoice(1, 1, "1.00"), invoice(2, 1, "2.00"), payment(1, "1.00")]), ids)
    lane.apply_batch(batch)
    last = [record_of(batch.items[1].message), record_of(batch.items[2].message)]
    with engine.connect() as connection:
        columns = "topic, topic_id, last_offset, last_leader_epoch, last_timestamp_ms, last_digest"
        kept = text(f"SELECT {columns} FROM positions WHERE next_offset > 0 ORDER BY topic")
        assert [tuple(row) for row in connection.execute(kept)] == [
            (topic, topic_id, record.offset, record.leader_epoch, record.timestamp_ms, record.digest)
            for (topic, topic_id), record in zip(ids.items(), last, strict=True)
        ]
    another = replace(lane.batch([invoice(3, 1, "3.00")]), topic_ids={f"{prefix}.invoices": "third"})
    with pytest.raises(PositionMoved):
        lane.apply_batch(another)


def test_an_invoice_that_was_only_locked_leaves_no_row(lane: Lane, engine: Engine) -> None:
    lane.apply([payment(1, "4.00", invoice_id=5)])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM invoices")).scalar() == 0


def test_a_payment_that_a_hand_deletes_before_it_is_locked_leaves_no_row(lane: Lane, engine: Engine) -> None:
    lane.apply([payment(1, "4.00", invoice_id=5)])

    class Meddled(Cursor[Any]):
        def execute(self, query: Any, *arguments: Any, **named: Any) -> Self:  # noqa: ANN401 - handed on as they are
            super().execute(query, *arguments, **named)
            if query == merge.MERGE["stage_payment_locks"]:
                with engine.begin() as hand:
                    assert hand.execute(text("DELETE FROM payments")).rowcount == 1
            return self

    lane.connection.cursor_factory = Meddled
    lane.apply([invoice(5, 1, "10.00")])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM payments")).scalar() == 0


def test_a_prepared_connection_has_its_staging_tables_and_plans_anew(lane: Lane) -> None:
    assert lane.connection.autocommit
    assert lane.connection.prepare_threshold is None
    assert lane.connection.execute("SELECT count(*) FROM staged_invoices").fetchone() == (0,)


def _of_topics(lane: Lane, batch: Batch, topic_ids: dict[str, str | None]) -> Batch:
    """Let positions and batch be of the topics with these ids."""
    with lane.connection.transaction(), lane.connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE positions SET topic_id = %s WHERE topic = %s",
            [(topic_id, topic) for topic, topic_id in topic_ids.items()],
        )
    return replace(batch, topic_ids=topic_ids)
