"""What `projector status` says of the last check: no more than that check has proved."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from projector.status.status import Status
from projector.status.text import show

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SOUND: dict[str, Any] = {
    "run_id": UUID(int=1), "command": "drift-check", "state": "finished", "started_at": NOW, "finished_at": NOW,
    "failed": 0, "findings": 0, "repaired": 0, "repaired_since": False,
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
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Last drift check: "))
    assert line.endswith(said)


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


CHECKER: Final[dict[str, Any]] = {
    "run_id": UUID(int=2), "state": "finished", "started_at": NOW, "updated_at": NOW, "finished_at": NOW,
    "promised_seconds": 600.0, "due_at": NOW + timedelta(minutes=10), "overdue": False, "processes": 0,
}  # fmt: skip
NOBODYS: Final = "says that it runs, and no process carries it out: `backfill runs` shows how to go on."
ABANDONED: Final = {"run_id": UUID(int=2), "command": "rebuild", "started_at": NOW, "updated_at": NOW}


@pytest.mark.parametrize(
    ("facts", "abandoned", "said"),
    [
        ({}, [], "quiet; its last run {} finished 0 s ago, and everything is promised to be compared again by 2026-01"),
        ({"state": "paused", "finished_at": None}, [], "quiet; its last run {} paused 0 s ago, and everything is "),
        ({"state": "running", "processes": 1}, [], "at work on run {}, which last moved 0 s ago\n"),
        (
            {"state": "running", "processes": 1, "overdue": True},
            [],
            "at work on run {}, which last moved 0 s ago; late, everything was promised to be compared within 0:10:00",
        ),
        ({"state": "running"}, [ABANDONED], "dead; no process carries out its run {}, which last moved 0 s ago\n"),
        ({"overdue": True}, [], "gone, or each round fails; its last run {} finished 0 s ago, and everything was prom"),
    ],
)
def test_a_dead_checker_is_told_from_a_quiet_one(
    facts: dict[str, Any], abandoned: list[dict[str, Any]], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(
        Status(
            group_id="g", positions=[], lag=0, conflicts=0, dead_letters=[], last_check=None, asked_at=NOW,
            checker=CHECKER | facts, abandoned=abandoned,
        )
    )  # fmt: skip
    assert f"Checker: {said.format(UUID(int=2))}" in capsys.readouterr().out


STOP: Final = {
    "host": "h", "reason": "group", "message": "m", "positions": {}, "times": 1, "first_at": NOW, "stopped_at": NOW
}  # fmt: skip
DEAD: Final = {"reason": "no-value", "open": 2, "first_at": NOW, "last_at": NOW}
AHEAD: Final = {"clock": NOW - timedelta(days=1), "ahead": 2, "next_at": NOW + timedelta(days=2)}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "Nothing needs attention."),
        ({"lag": 7, "consumers": [MEMBER]}, "Nothing needs attention."),
        ({"lag": 1, "consumers": []}, "Needs attention: 1 message waits, and no consumer is running."),
        ({"kafka_failure": "Kafka at x: y", "lag": None}, "Needs attention: Kafka did not say all that is asked here."),
        (
            {"exceeded": ["x", "y"], "dead_letters": [DEAD]},
            "Needs attention: x; y; 2 dead letters are open: `projector dead-letters list` shows them.",
        ),
        (
            {"dead_letters": [DEAD | {"open": 1}]},
            "Needs attention: 1 dead letter is open: `projector dead-letters list` shows it.",
        ),
        ({"last_check": SOUND | {"findings": 3, "repaired": 3}}, "Nothing needs attention."),
        (
            {"last_check": SOUND | {"findings": 3, "repaired": 2}},
            f"Needs attention: the last drift-check left 1 finding: `backfill runs show {UUID(int=1)}` shows it.",
        ),
        (
            {"last_check": SOUND | {"findings": 3, "repaired": 0, "repaired_since": True}},
            "Needs attention: what the last check found may be repaired by now: `backfill drift-check` compares again.",
        ),
        (
            {"last_log_check": SOUND | {"findings": 2}},
            f"Needs attention: verify-log left 2 findings: `backfill runs show {UUID(int=1)}` shows how to go on.",
        ),
        ({"last_log_check": SOUND | {"findings": 2, "repaired": 2}}, "Nothing needs attention."),
        (
            {"stops": [STOP]},
            "Needs attention: a consumer has stopped with an error.",
        ),
        (
            {"checker": CHECKER | {"overdue": True}},
            "Needs attention: a check of every balance is overdue, and no checker is at work.",
        ),
        (
            {"checker": CHECKER | {"overdue": True, "state": "running", "processes": 1}},
            "Needs attention: a check of every balance is overdue, and the checker is late.",
        ),
        ({"checker": CHECKER}, "Nothing needs attention."),
        (
            {"abandoned": [ABANDONED]},
            f"Needs attention: rebuild {UUID(int=2)} {NOBODYS}",
        ),
        ({"assignments": AHEAD}, "Nothing needs attention."),
        (
            {"assignments": AHEAD | {"next_at": NOW - timedelta(minutes=2)}},
            "Needs attention: an assignment is due, and no consumer has moved the clock.",
        ),
        ({"topic_problems": ["x"]}, "Needs attention: a topic's configuration is wrong."),
    ],
)
def test_the_first_line_says_what_needs_attention(
    facts: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known: dict[str, Any] = {"lag": 0, "dead_letters": [], "last_check": None} | facts
    show(Status(group_id="g", positions=[], conflicts=0, asked_at=NOW, **known))
    assert capsys.readouterr().out.splitlines()[0] == said


def test_partitions_without_messages_are_counted_and_what_lies_ahead_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    positions = [
        {"topic": "t", "partition": at, "next_offset": offset, "end": end, "lag": 0, "updated_at": NOW}
        for at, (offset, end) in enumerate([(0, 0), (3, 5), (0, 2), (4, None), (0, None)])
    ]
    show(
        Status(
            group_id="g", positions=positions, lag=0, conflicts=0, dead_letters=[], last_check=None, assignments=AHEAD,
            asked_at=NOW.astimezone(ZoneInfo("Africa/Nairobi")),
        )
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert "Positions of group g (2 partitions without messages left out)\n" in shown
    assert shown.count("0 s ago") == 3
    assert "Assignments: 2 begin or end later, the next on 2026-02-02 15:00 EAT\n" in shown
