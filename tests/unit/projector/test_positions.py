"""What a move of a position skips, repeats and has lost, and which positions cannot be served."""

import pytest

from events.runtime.errors import InputError
from projector.kafka_log.partitions import PartitionLog
from projector.kafka_log.position_check import Position
from projector.positions.reset import Target, plan
from projector.positions.view import partition_states

TOPIC = "billing.invoices"
LOG = PartitionLog(topic_id="now", low=100, high=200)


def at(offset: int, topic_id: str | None = "now") -> Position:
    return Position(next_offset=offset, topic_id=topic_id)


@pytest.mark.parametrize(
    ("position", "target", "after", "skipped", "again", "lost"),
    [
        (at(150), "latest", 200, 50, 0, 0),
        (at(150), "earliest", 100, 0, 50, 0),
        (at(150), 160, 160, 10, 0, 0),
        (at(150), 150, 150, 0, 0, 0),
        (at(150, None), "latest", 200, 50, 0, 0),
        (at(40), "earliest", 100, 0, 0, 60),
        (at(40), "latest", 200, 100, 0, 60),
        (at(900), "earliest", 100, 0, 0, 0),
        (at(900), "latest", 200, 100, 0, 0),
        (at(40, "before"), "earliest", 100, 0, 0, 0),
        (at(150, "before"), "latest", 200, 100, 0, 0),
        (None, "latest", 200, 100, 0, 0),
        (None, "earliest", 100, 0, 0, 0),
    ],
)
def test_a_move_says_what_follows(  # noqa: PLR0913, PLR0917 - a table
    position: Position | None, target: Target, after: int, skipped: int, again: int, lost: int
) -> None:
    stored = {} if position is None else {(TOPIC, 0): position}
    [move] = plan(stored, {(TOPIC, 0): LOG}, TOPIC, 0, target)
    assert (move.after, move.skipped, move.again, move.lost) == (after, skipped, again, lost)
    assert move.before == (None if position is None else position.next_offset)
    assert move.topic_id == "now"


def test_all_of_a_topics_partitions_are_moved_and_no_others() -> None:
    logs = {(TOPIC, 1): LOG, (TOPIC, 0): LOG, ("billing.payments", 0): LOG}
    assert [(m.topic, m.partition) for m in plan({}, logs, TOPIC, None, "latest")] == [(TOPIC, 0), (TOPIC, 1)]


def test_all_topics_are_moved_to_an_end_together() -> None:
    logs = {("billing.payments", 0): LOG, (TOPIC, 1): LOG, (TOPIC, 0): LOG}
    moves = plan({(TOPIC, 0): at(150)}, logs, None, None, "earliest")
    assert [(m.topic, m.partition, m.after) for m in moves] == [(*place, 100) for place in sorted(logs)]
    for partition, target in ((0, "earliest"), (None, 100)):
        with pytest.raises(InputError, match="with all topics, give all"):
            plan({}, logs, None, partition, target)  # type: ignore[arg-type]  # the pairs are of several types


@pytest.mark.parametrize("offset", [99, 201])
def test_an_offset_outside_the_log_is_refused(offset: int) -> None:
    with pytest.raises(InputError, match="from 100 to 200"):
        plan({}, {(TOPIC, 0): LOG}, TOPIC, 0, offset)


def test_every_partition_is_shown_with_what_is_wrong() -> None:
    stored = {(TOPIC, n): given for n, given in enumerate([at(150), at(40), at(900), at(150, "before"), at(7)])}
    logs = {(TOPIC, n): LOG for n in (0, 1, 2, 3, 5)}
    found = partition_states(stored, logs)
    assert [one.partition for one in found] == list(range(6))
    assert [one.lag for one in found] == [50, None, None, None, None, 100]
    said = ["", "retention deleted", "ends at 200", "created again", "no such partition", ""]
    assert all(words in (one.problem or "") for one, words in zip(found, said, strict=True))
    assert [bool(one.problem) for one in found] == [bool(words) for words in said]
    assert found[5].position is None
