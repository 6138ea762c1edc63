"""What a status holds: positions and lag, consumers, open dead letters, the clock, and when figures were compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import dict_row

from events.contract.types import TopicPartition
from projector.database.statements import statements
from projector.kafka_log.group import Member
from projector.kafka_log.partitions import PartitionLog
from projector.status import checker
from projector.status.kafka_view import KafkaView

STATUS: Final = statements("projector.status", "status.sql")


@dataclass(frozen=True, kw_only=True)
class Status:
    """What PostgreSQL and the broker hold of one consumer group, as plain values.

    Without an answer of the broker, `kafka_failure` says why; the lag and the consumers are None, unknown. `sessions`
    are those of every `projector run` in the database. `assignments` has the clock, how many assignments begin or end
    after it, and when the next one does. `stops` says why consumers ended by themselves, as long as none that started
    later works. `checker` is the newest check of a schedule, with its processes and whether its promise is broken;
    `abandoned` are runs that say that they run, and that no process carries out. `exceeded` names the limits that were
    given and are not kept.
    """

    group_id: str
    positions: list[dict[str, Any]]
    lag: int | None
    conflicts: int
    dead_letters: list[dict[str, Any]]
    last_check: dict[str, Any] | None
    last_log_check: dict[str, Any] | None = None
    last_verified: dict[str, Any] | None = None
    checker: dict[str, Any] | None = None
    abandoned: Sequence[dict[str, Any]] = ()
    assignments: dict[str, Any] | None = None
    consumers: list[dict[str, Any]] | None = None
    sessions: Sequence[dict[str, Any]] = ()
    stops: Sequence[dict[str, Any]] = ()
    kafka_failure: str | None = None
    exceeded: Sequence[str] = ()
    topic_problems: Sequence[str] = ()
    asked_at: datetime  # in the deployment's time zone


def read(connection: Connection[Any], group_id: str, view: KafkaView, now: datetime) -> Status:
    """Read a group's status, and combine it with what the broker said."""
    logs = view.logs

    def rows(name: str) -> list[dict[str, Any]]:
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(STATUS[name], {"group_id": group_id}).fetchall()

    checks = checker.read(connection)
    positions = [_with_lag(position, logs) for position in rows("positions")]
    unread = set(logs or ()) - {(position["topic"], position["partition"]) for position in positions}
    unread_messages = sum(logs[place].high - logs[place].low for place in unread) if logs else 0
    return Status(
        group_id=group_id,
        positions=positions,
        lag=None if logs is None else unread_messages + sum(position["lag"] for position in positions),
        conflicts=sum(position["conflicts"] for position in positions),
        dead_letters=rows("dead_letters"),
        last_check=next(iter(rows("last_check")), None),
        last_log_check=next(iter(rows("last_log_check")), None),
        last_verified=next(iter(rows("last_verified")), None),
        checker=checks.checker,
        abandoned=checks.abandoned,
        assignments=next(iter(rows("assignments")), None),
        consumers=None if view.members is None else [_consumer(member) for member in view.members],
        sessions=rows("sessions"),
        stops=rows("stops"),
        kafka_failure=None if view.failure is None else str(view.failure),
        topic_problems=view.topic_problems,
        asked_at=now,
    )


def _with_lag(position: dict[str, Any], logs: Mapping[TopicPartition, PartitionLog] | None) -> dict[str, Any]:
    """Add the end and the lag: unknown without logs, none for a partition that the broker does not have."""
    if logs is None:
        return {**position, "end": None, "lag": None}
    log = logs.get((position["topic"], position["partition"]))
    if log is None:
        return {**position, "end": None, "lag": 0}
    return {**position, "end": log.high, "lag": max(0, log.high - position["next_offset"])}


def _consumer(member: Member) -> dict[str, Any]:
    partitions = [{"topic": topic, "partition": partition} for topic, partition in member.partitions]
    return {
        "client_id": member.client_id, "host": member.host, "instance": member.instance, "partitions": partitions
    }  # fmt: skip
