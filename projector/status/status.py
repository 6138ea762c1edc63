"""What a status holds: positions and lag, consumers, open dead letters, and when the figures were last compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import dict_row

from events.contract.types import TopicPartition
from events.runtime.console import print_table, say
from events.runtime.wording import counted
from projector.database.statements import statements
from projector.kafka_log.group import Member
from projector.kafka_log.partitions import PartitionLog
from projector.status.kafka_view import KafkaView

STATUS: Final = statements("projector.status", "status.sql")


@dataclass(frozen=True, kw_only=True)
class Status:
    """What PostgreSQL and the broker hold of one consumer group, as plain values.

    Without an answer of the broker, `kafka_failure` says why; the lag and the consumers are None, unknown. `sessions`
    are those of every `projector run` in the database. `exceeded` names the limits that were given and are not kept.
    """

    group_id: str
    positions: list[dict[str, Any]]
    lag: int | None
    conflicts: int
    dead_letters: list[dict[str, Any]]
    last_check: dict[str, Any] | None
    last_verified: dict[str, Any] | None = None
    consumers: list[dict[str, Any]] | None = None
    sessions: Sequence[dict[str, Any]] = ()
    kafka_failure: str | None = None
    exceeded: Sequence[str] = ()
    topic_problems: Sequence[str] = ()
    asked_at: datetime


def read(connection: Connection[Any], group_id: str, view: KafkaView, now: datetime) -> Status:
    """Read a group's status, and combine it with what the broker said."""
    logs = view.logs

    def rows(name: str) -> list[dict[str, Any]]:
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(STATUS[name], {"group_id": group_id}).fetchall()

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
        last_verified=next(iter(rows("last_verified")), None),
        consumers=None if view.members is None else [_consumer(member) for member in view.members],
        sessions=rows("sessions"),
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


def show(status: Status) -> None:
    """Print a status as tables."""
    print_table(
        f"Positions of group {status.group_id}",
        ["Topic", "Partition>", "Next offset>", "End>", "Lag>", "Moved"],
        [
            [p["topic"], p["partition"], p["next_offset"], p["end"], p["lag"], _ago(p["updated_at"], status.asked_at)]
            for p in status.positions
        ],
    )
    _show_consumers(status)
    if status.kafka_failure:
        say(status.kafka_failure if status.kafka_failure.startswith("Kafka") else f"Kafka: {status.kafka_failure}")
    say(f"Lag: {'unknown' if status.lag is None else counted(status.lag, 'message')}")
    if status.conflicts:
        say(f"Conflicts: {counted(status.conflicts, 'event')} had the version of another event, and other content")
    if status.dead_letters:
        rows = [[d["reason"], d["open"], _ago(d["last_at"], status.asked_at)] for d in status.dead_letters]
        print_table("Open dead letters", ["Reason", "Open>", "Last"], rows)
    else:
        say("Dead letters: none open")
    say(_verified_line(status))
    say(_check_line(status))
    for problem in status.topic_problems:
        say(f"Warning: {problem}")
    for limit in status.exceeded:
        say(f"Behind: {limit}")


def _show_consumers(status: Status) -> None:
    if status.consumers:
        rows = [[_client(each), each["host"], _partitions(each["partitions"])] for each in status.consumers]
        print_table("Consumers", ["Client", "Host", "Partitions~"], rows)
        return
    if status.consumers is None:
        hidden = "" if status.kafka_failure else "unknown to us: grant DESCRIBE on the group; "
        say(f"Consumers: {hidden}{_sessions(status.sessions)}")
    elif status.sessions:
        held = _sessions(status.sessions)
        say(f"Consumers: no consumer is running in this group; {held}: it starts or hangs, or is of another group")
    else:
        say("Consumers: no consumer is running")


def _sessions(sessions: Sequence[Mapping[str, Any]]) -> str:
    if not sessions:
        return "no `projector run` has a session in this database"
    pids = ", ".join(str(session["pid"]) for session in sessions)
    many = "a session" if len(sessions) == 1 else f"{len(sessions)} sessions"
    return f"`projector run` has {many} in this database (PostgreSQL's process {pids})"


def _client(consumer: Mapping[str, Any]) -> str:
    instance = consumer["instance"]
    return f"{consumer['client_id']} (instance {instance})" if instance else str(consumer["client_id"])


def _partitions(places: Sequence[Mapping[str, Any]]) -> str:
    """Write partitions as `billing.invoices 0 1 2, billing.payments 0`."""
    topics = groupby(places, key=itemgetter("topic"))
    return ", ".join(" ".join([topic, *(str(place["partition"]) for place in of_it)]) for topic, of_it in topics)


def _check_line(status: Status) -> str:
    check = status.last_check
    if check is None:
        return "Last drift check: never; `backfill drift-check` compares the balances with history"
    complete = check["state"] == "finished" and check["failed"] == 0
    if check["findings"]:
        verdict = f"{counted(check['findings'], 'finding')}, {check['findings'] - check['repaired']:,} not repaired"
    else:
        verdict = "no drift" if complete else "no drift in what was compared"
    if check["failed"]:
        verdict += f"; {counted(check['failed'], 'chunk')} could not be compared"
    when = _ago(check["finished_at"] or check["started_at"], status.asked_at)
    return f"Last drift check: {when}, {check['command']} {check['run_id']} {check['state']}: {verdict}"


def _verified_line(status: Status) -> str:
    verified = status.last_verified
    if verified is None:
        return "Last verified: never; no run has compared every balance yet"
    began, ended = (_ago(verified[moment], status.asked_at) for moment in ("started_at", "finished_at"))
    within = timedelta(seconds=verified["promised_seconds"] or 0)
    late = f"; OVERDUE, promised within {within}" if verified["overdue"] else ""
    if verified["is_empty"]:
        return f"Last verified: {ended}; there are no balances to compare{late}"
    when = ended if began == ended else f"between {began} and {ended}"
    return f"Last verified: every balance was compared {when}{late}"


def _ago(then: datetime, now: datetime) -> str:
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
