"""What `projector status` says of the last check: no more than that check has proved."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from projector.status.status import Status, show

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SOUND: dict[str, Any] = {
    "run_id": UUID(int=1), "command": "drift-check", "state": "finished", "started_at": NOW, "finished_at": NOW,
    "failed": 0, "findings": 0, "repaired": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "finished: no drift"),
        ({"state": "running", "finished_at": None}, "running: no drift in what was compared"),
        ({"state": "paused", "finished_at": None}, "paused: no drift in what was compared"),
        ({"failed": 2}, "finished: no drift in what was compared; 2 chunks could not be compared"),
        ({"findings": 3, "repaired": 1}, "finished: 3 findings, 2 not repaired"),
    ],
)
def test_a_check_that_did_not_compare_all_does_not_say_that_there_is_no_drift(
    facts: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(
        Status(group_id="g", positions=[], lag=0, conflicts=0, dead_letters=[], last_check=SOUND | facts, asked_at=NOW)
    )
    assert " ".join(capsys.readouterr().out.split()).endswith(said)


HELD: Final = [{"pid": 17, "user": "consumer", "address": None, "began_at": None}]
MEMBER: Final = {
    "client_id": "projector-a[b]-1", "host": "10.0.0.1", "instance": None,
    "partitions": [{"topic": "t.invoices", "partition": 0}, {"topic": "t.invoices", "partition": 1}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"consumers": []}, "Consumers: no consumer is running\n"),
        ({"consumers": [], "sessions": HELD}, "no consumer is running in this group; `projector run` has a session"),
        (
            {"consumers": None, "sessions": HELD * 2},
            "Consumers: unknown to us: grant DESCRIBE on the group; `projector",
        ),
        ({"consumers": None, "sessions": HELD, "kafka_failure": "Kafka at x y: z"}, "Consumers: `projector run` has a"),
        (
            {"consumers": None, "kafka_failure": "topic x"},
            "no `projector run` has a session in this database\nKafka: topic",
        ),
        ({"consumers": [MEMBER], "sessions": HELD}, "projector-a[b]-1"),
        ({"consumers": [MEMBER], "sessions": HELD}, "t.invoices 0 1"),
        ({"exceeded": ["[5] wait"]}, "Behind: [5] wait\n"),
    ],
)
def test_who_consumes_is_said_as_far_as_it_is_known(
    facts: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(
        Status(group_id="g", positions=[], lag=0, conflicts=0, dead_letters=[], last_check=None, asked_at=NOW, **facts)
    )
    assert said in capsys.readouterr().out


VERIFIED: Final[dict[str, Any]] = {
    "started_at": NOW,
    "finished_at": NOW,
    "promised_seconds": None,
    "overdue": False,
    "is_empty": False,
}


@pytest.mark.parametrize(
    ("verified", "said"),
    [
        (None, "Last verified: never; no run has compared every balance yet"),
        (VERIFIED, "Last verified: every balance was compared 0 s ago"),
        (
            VERIFIED | {"started_at": NOW - timedelta(minutes=5)},
            "Last verified: every balance was compared between 5 min ago and 0 s ago",
        ),
        (VERIFIED | {"is_empty": True}, "Last verified: 0 s ago; there are no balances to compare"),
    ],
)
def test_when_everything_was_compared_is_one_time_where_it_is_one(
    verified: dict[str, Any] | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(
        Status(
            group_id="g", positions=[], lag=0, conflicts=0, dead_letters=[], last_check=None, last_verified=verified,
            asked_at=NOW,
        )
    )  # fmt: skip
    assert said in capsys.readouterr().out.splitlines()
