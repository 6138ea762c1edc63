"""What a run reads of the log is cut into chunks that cover each offset once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.runs.store import BEFORE_ALL_KEYS
from backfill.verify_log.plan import BLOCK, Plan, Range, plan_of, require_unchanged
from events.runtime.errors import StateError
from projector.kafka_log.partitions import PartitionLog
from projector.kafka_log.position_check import Position

INVOICES = ("billing.invoices", 0)


def _range(partition: int, low: int, end: int) -> Range:
    return Range(
        entity="invoices", topic="billing.invoices", partition=partition, topic_id="t", low=low, end=end, high=end
    )


@given(
    st.lists(st.tuples(st.integers(0, 3 * BLOCK), st.integers(0, 3 * BLOCK)), max_size=4),
    st.integers(1, 3 * BLOCK),
)
def test_chunks_cover_every_offset_once_and_hold_whole_blocks(ranges: list[tuple[int, int]], size: int) -> None:
    plan = Plan([_range(number, low, low + length) for number, (low, length) in enumerate(ranges)])
    plan = Plan.of(plan.options)
    after, covered = BEFORE_ALL_KEYS, dict.fromkeys(range(len(ranges)), 0)
    while (last := plan.next_end(after, size)) is not None:
        part = plan.part(after, last)
        covered[part.range.partition] += part.end - part.start
        assert part.range.low <= part.start < part.end <= part.range.end
        assert part.start == part.range.low or part.start % BLOCK == 0
        after = last
    assert covered == {number: length for number, (_, length) in enumerate(ranges)}
    assert max(after, 0) == plan.total


def test_it_reads_from_where_the_log_begins_to_the_position() -> None:
    positions = {INVOICES: Position(next_offset=7, topic_id="t"), ("other", 0): Position(next_offset=1, topic_id="o")}
    [only] = plan_of(positions, {INVOICES: PartitionLog(topic_id="t", low=3, high=9)}, "billing").ranges
    assert (only.low, only.end, only.high) == (3, 7, 9)
    [expired] = plan_of(positions, {INVOICES: PartitionLog(topic_id="t", low=8, high=9)}, "billing").ranges
    assert (expired.low, expired.end) == (8, 8)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (PartitionLog(topic_id="u", low=0, high=9), "was recreated"),
        (PartitionLog(topic_id="t", low=0, high=6), "was truncated"),
        (None, "no such partition"),
    ],
)
def test_another_log_is_refused_at_the_start_and_later(log: PartitionLog | None, said: str) -> None:
    positions = {INVOICES: Position(next_offset=7, topic_id="t")}
    logs = {} if log is None else {INVOICES: log}
    with pytest.raises(StateError, match=said):
        plan_of(positions, logs, "billing")
    plan = plan_of(positions, {INVOICES: PartitionLog(topic_id="t", low=3, high=9)}, "billing")
    with pytest.raises(StateError, match=said):
        require_unchanged(plan, logs)
