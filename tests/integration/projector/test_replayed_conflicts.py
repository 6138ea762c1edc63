"""A conflict is counted once, on the partition of its event, however often an operator sets positions back."""

from typing import Any

from sqlalchemy import Engine, text

from events.contract.types import ENTITIES, topic_of
from events.runtime.settings import Settings
from projector.deployment import schema
from projector.positions import store
from tests.support import old_schema
from tests.support.examples import CloudEvent, assigned, customer, invoice, payment
from tests.support.merge_harness import MergeHarness

PAIRS = [
    [customer(7, "Asha"), customer(7, "Brian", event_id="b")],
    [assigned(1, 1, 7), assigned(1, 1, 8, event_id="b")],
    [invoice(1, 1, "1.00"), invoice(1, 1, "2.00", event_id="b")],
    [payment(1, "1.00", meter_id=1), payment(1, "2.00", meter_id=1, event_id="b")],
]
HISTORY: list[CloudEvent] = [event for pair in PAIRS for event in pair]


def test_a_replay_of_everything_counts_nothing_again_and_what_is_new_once(harness: MergeHarness) -> None:
    """In one batch, where the batch finds them, and one by one, where stored rows do."""
    first = harness.apply(HISTORY)
    assert first.conflicts == 4
    assert [place.removeprefix(harness.settings.topic_prefix) for place in first.first_conflicts] == [
        ".customers/0@1 and 0@0 (customer 7, version 1)", ".assignments/0@1 and 0@0 (assignment 1, version 1)",
        ".invoices/0@1 and 0@0 (invoice 1, version 1)", ".payments/0@1 and 0@0 (payment 1, version 1)",
    ]  # fmt: skip
    for batches in ([HISTORY], [[event] for event in HISTORY]):
        _set_back(harness, 0)
        again = [harness.apply(batch) for batch in batches]
        assert [(each.conflicts, each.first_conflicts) for each in again] == [(0, ())] * len(batches)
        assert _counted(harness) == dict.fromkeys(ENTITIES, 1)
    new = [customer(7, "Chebet", event_id="c"), invoice(1, 1, "3.00", event_id="a"), payment(2, "1.00")]
    assert harness.apply(new).conflicts == 2
    assert _counted(harness) == {"customers": 2, "invoices": 2, "assignments": 1, "payments": 1}


def test_a_batch_of_replayed_and_of_new_messages_counts_the_new_ones(harness: MergeHarness) -> None:
    harness.apply(PAIRS[2])
    _set_back(harness, 0)
    assert harness.apply([*PAIRS[2], *PAIRS[3], invoice(1, 1, "3.00", event_id="c")]).conflicts == 2
    assert _counted(harness) == {"customers": 0, "assignments": 0, "invoices": 2, "payments": 1}


def test_positions_that_move_forward_keep_what_was_not_counted(harness: MergeHarness) -> None:
    harness.apply(PAIRS[2])
    _set(harness, {"invoices": 2}, 100)
    assert _stored(harness, "conflicts_counted_to")["invoices"] == 2


def test_a_topic_that_was_created_again_is_counted_from_its_beginning(harness: MergeHarness, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE positions SET topic_id = 'before'"))
    _set(harness, dict.fromkeys(ENTITIES, 0), 0, topic_id="before")
    assert set(_stored(harness, "conflicts_counted_to").values()) == {0}
    with engine.begin() as connection:
        connection.execute(text("UPDATE positions SET conflicts_counted_to = 50"))
    _set(harness, {"invoices": 0}, 0, topic_id="now")
    _set(harness, {"payments": 0}, 0, topic_id="before")
    counted_to = _stored(harness, "conflicts_counted_to")
    assert (counted_to["invoices"], counted_to["payments"]) == (0, 50)


def test_a_payment_that_waits_for_its_invoice_is_no_conflict_with_loaded_history(
    harness: MergeHarness, engine: Engine
) -> None:
    """The rows that a batch locks are staged with version 0, which history that was loaded may have too."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO invoices (invoice_id, version, event_id, amount, currency, invoice_date)"
                " VALUES (1, 0, 'loaded', 5, 'KES', '2026-01-31')"
            )
        )
    assert harness.apply([payment(1, "1.00", invoice_id=1), payment(1, "1.00", invoice_id=1)]).conflicts == 0


def test_a_conflict_with_loaded_history_names_its_event_alone(harness: MergeHarness, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO customers (customer_id, version, event_id, name) VALUES (7, 1, 'm', 'Asha')")
        )
    topic = topic_of("customers", harness.settings.topic_prefix)
    for offset, event_id in enumerate(("a", "z")):  # the stored row wins, then loses
        done = harness.apply([customer(7, "Brian", event_id=event_id)])
        assert done.first_conflicts == (f"{topic}/0@{offset} and a row of no message (customer 7, version 1)",)


def test_an_upgrade_takes_what_is_applied_as_counted(settings: Settings) -> None:
    with old_schema.before(settings, "0011") as older:
        with older.begin() as connection:
            connection.execute(
                text("INSERT INTO positions (group_id, topic, partition, next_offset) VALUES ('g', 't', 0, 17)")
            )
        schema.upgrade(older, old_schema.NAME)
        with older.connect() as connection:
            assert connection.execute(text("SELECT conflicts_counted_to FROM positions")).scalar_one() == 17


def _set_back(harness: MergeHarness, offset: int) -> None:
    """Do what `projector positions set all all earliest` does, and number messages from there on again."""
    _set(harness, _stored(harness, "next_offset"), offset)
    harness.restart(offset)


def _set(harness: MergeHarness, starts: dict[Any, int], offset: int, topic_id: str | None = None) -> None:
    prefix, group = harness.settings.topic_prefix, harness.settings.group_id
    places = {(topic_of(entity, prefix), harness.partition): start for entity, start in starts.items()}
    targets: dict[Any, Any] = dict.fromkeys(places, (offset, topic_id))
    with harness.connection.transaction():
        assert store.set_all(harness.connection, group, places, targets) == len(places)


def _counted(harness: MergeHarness) -> dict[Any, int]:
    return _stored(harness, "conflicts")


def _stored(harness: MergeHarness, column: str) -> dict[Any, int]:
    rows = harness.connection.execute(f"SELECT topic, {column} FROM positions".encode())
    return {topic.rpartition(".")[2]: value for topic, value in rows}
