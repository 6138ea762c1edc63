"""Further behind than allowed is what waits and does not move; an idle partition and a first reading are not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from projector.kafka_log.partitions import PartitionLog
from projector.status.kafka_view import KafkaView
from projector.status.limits import Limits, exceeded
from projector.status.status import Status

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
AGE = timedelta(minutes=2)
PLACE = ("billing.invoices", 0)
BEHIND = "billing.invoices/0: 4 messages wait, the first for more than 0:02:00"


def _exceeded(*, next_offset: int | None, moved: timedelta, young_from: int | None, limits: Limits) -> list[str]:
    """Judge a partition with the offsets 10 to 19, whose messages from `young_from` on are younger than the limit."""
    position: dict[str, Any] = {
        "topic": PLACE[0], "partition": PLACE[1], "next_offset": next_offset, "updated_at": NOW - moved
    }  # fmt: skip
    positions = [] if next_offset is None else [position]
    lag = 20 - (10 if next_offset is None else next_offset)
    status = Status(
        group_id="g", positions=positions, lag=lag, conflicts=0, dead_letters=[], last_check=None, asked_at=NOW
    )
    logs = {PLACE: PartitionLog(topic_id="t", low=10, high=20)}
    view = KafkaView(logs=logs, young_from={} if young_from is None else {PLACE: young_from})
    return exceeded(status, view, limits)


@pytest.mark.parametrize(
    ("next_offset", "moved", "young_from", "said"),
    [
        (20, 3600, None, []),  # idle
        (16, 3600, 17, [BEHIND]),  # the message at 16 is old
        (16, 3600, None, [BEHIND]),  # all are old
        (16, 3600, 16, []),  # it arrived just now
        (16, 119, None, []),  # old messages that are being read
        (16, 121, None, [BEHIND]),
        (None, 0, None, ["billing.invoices/0: 10 messages wait, the first for more than 0:02:00"]),  # never read
        (None, 0, 10, []),
        (5, 3600, None, ["billing.invoices/0: 15 messages wait, the first for more than 0:02:00"]),  # retention
    ],
)
def test_age(next_offset: int | None, moved: float, young_from: int | None, said: list[str]) -> None:
    found = _exceeded(
        next_offset=next_offset, moved=timedelta(seconds=moved), young_from=young_from, limits=Limits(age=AGE)
    )
    assert found == said


@pytest.mark.parametrize(("allowed", "said"), [(4, []), (3, ["4 messages wait, and 3 may"]), (None, [])])
def test_lag(allowed: int | None, said: list[str]) -> None:
    limits = Limits(lag=allowed)
    assert _exceeded(next_offset=16, moved=timedelta(0), young_from=None, limits=limits) == said


def test_what_kafka_did_not_say_exceeds_nothing() -> None:
    status = Status(group_id="g", positions=[], lag=None, conflicts=0, dead_letters=[], last_check=None, asked_at=NOW)
    assert exceeded(status, KafkaView(), Limits(lag=0, age=AGE)) == []
