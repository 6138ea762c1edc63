"""What the intake hands out, and what it forgets."""

from events.contract.types import Message, Refusal
from projector.consume.buffer import Intake

PLACE, OTHER = ("t", 0), ("t", 1)
REFUSED = Refusal("no-value", "")


def message(partition: int, offset: int, value: bytes = b"") -> Message:
    return Message("t", partition, offset, 0, None, value, ())


def intake_at(**positions: int) -> Intake:
    intake = Intake()
    intake.assign({("t", int(name[1:])): offset for name, offset in positions.items()})
    return intake


def test_a_batch_starts_where_the_one_before_ended() -> None:
    intake = intake_at(p0=5)
    intake.add(message(0, 5), REFUSED)
    first = intake.take()
    intake.add(message(0, 6), REFUSED)
    second = intake.take()
    assert (first.known, first.ends) == ({PLACE: 5}, {PLACE: 6})
    assert (second.known, second.ends) == ({PLACE: 6}, {PLACE: 7})


def test_offsets_that_the_log_left_out_are_stepped_over() -> None:
    intake = intake_at(p0=5)
    intake.add(message(0, 9), REFUSED)
    assert intake.take().ends == {PLACE: 10}


def test_a_message_taken_in_before_is_left_out() -> None:
    intake = intake_at(p0=5)
    for offset in (4, 5, 5):
        intake.add(message(0, offset), REFUSED)
    assert [kept.message.offset for kept in intake.take().items] == [5]


def test_a_partition_that_is_not_ours_is_left_out() -> None:
    intake = intake_at(p0=5)
    intake.add(message(1, 0), REFUSED)
    intake.reach(OTHER, 7)
    assert not intake.has_work()


def test_reaching_the_end_behind_transaction_markers_moves_the_position_without_events() -> None:
    intake = intake_at(p0=5)
    intake.reach(PLACE, 5)
    assert not intake.has_work()
    intake.reach(PLACE, 6)
    batch = intake.take()
    assert (list(batch.items), batch.known, batch.ends) == ([], {PLACE: 5}, {PLACE: 6})


def test_what_was_read_of_a_revoked_partition_is_forgotten() -> None:
    intake = intake_at(p0=0, p1=0)
    intake.add(message(0, 0, b"x" * 50), REFUSED)
    alone = intake.bytes
    intake.add(message(1, 0), REFUSED)
    intake.revoke([OTHER])
    intake.add(message(1, 1), REFUSED)
    assert intake.bytes == alone
    batch = intake.take()
    assert batch.ends == {PLACE: 1}
    assert [kept.message.partition for kept in batch.items] == [0]
    assert intake.bytes == 0
