"""What the intake hands out, and what it forgets."""

from events.contract.types import Message, Refusal
from projector.consume.buffer import Buffer

PLACE, OTHER = ("t", 0), ("t", 1)
REFUSED = Refusal("no-value", "")


def message(partition: int, offset: int, value: bytes = b"") -> Message:
    return Message("t", partition, offset, 0, None, value, ())


def intake_at(**positions: int) -> Buffer:
    buffer = Buffer()
    buffer.assign({("t", int(name[1:])): offset for name, offset in positions.items()})
    return buffer


def test_a_batch_starts_where_the_one_before_ended() -> None:
    buffer = intake_at(p0=5)
    buffer.add(message(0, 5), REFUSED)
    first = buffer.take()
    buffer.add(message(0, 6), REFUSED)
    second = buffer.take()
    assert (first.start_offsets, first.end_offsets) == ({PLACE: 5}, {PLACE: 6})
    assert (second.start_offsets, second.end_offsets) == ({PLACE: 6}, {PLACE: 7})


def test_offsets_that_the_log_left_out_are_stepped_over() -> None:
    buffer = intake_at(p0=5)
    buffer.add(message(0, 9), REFUSED)
    assert buffer.take().end_offsets == {PLACE: 10}


def test_a_message_taken_in_before_is_left_out() -> None:
    buffer = intake_at(p0=5)
    for offset in (4, 5, 5):
        buffer.add(message(0, offset), REFUSED)
    assert [kept.message.offset for kept in buffer.take().items] == [5]


def test_a_partition_that_is_not_ours_is_left_out() -> None:
    buffer = intake_at(p0=5)
    buffer.add(message(1, 0), REFUSED)
    buffer.reach(OTHER, 7)
    assert not buffer.has_work()


def test_reaching_the_end_behind_transaction_markers_moves_the_position_without_events() -> None:
    buffer = intake_at(p0=5)
    buffer.reach(PLACE, 5)
    assert not buffer.has_work()
    buffer.reach(PLACE, 6)
    batch = buffer.take()
    assert (list(batch.items), batch.start_offsets, batch.end_offsets) == ([], {PLACE: 5}, {PLACE: 6})


def test_what_was_read_of_a_revoked_partition_is_forgotten() -> None:
    buffer = intake_at(p0=0, p1=0)
    buffer.add(message(0, 0, b"x" * 50), REFUSED)
    alone = buffer.bytes
    buffer.add(message(1, 0), REFUSED)
    buffer.revoke([OTHER])
    buffer.add(message(1, 1), REFUSED)
    assert buffer.bytes == alone
    batch = buffer.take()
    assert batch.end_offsets == {PLACE: 1}
    assert [kept.message.partition for kept in batch.items] == [0]
    assert buffer.bytes == 0
