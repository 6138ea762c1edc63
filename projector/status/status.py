"""`projector status`: how far the stream is applied, what was refused, and when the figures were last proved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from events.contract.types import TopicPartition
from events.runtime.console import print_table, stdout
from projector.database.statements import statements
from projector.positions.store import Log

STATUS: Final = statements("projector.status", "status.sql")


@dataclass(frozen=True, kw_only=True)
class Status:
    """What PostgreSQL and the broker say of one consumer group, as plain values."""

    group_id: str
    positions: list[dict[str, Any]]
    lag: int | None
    conflicts: int
    dead_letters: list[dict[str, Any]]
    last_check: dict[str, Any] | None
    last_verified: dict[str, Any] | None = None
    topic_problems: Sequence[str] = ()
    asked_at: datetime


def read(connection: Connection, group_id: str, logs: Mapping[TopicPartition, Log] | None, now: datetime) -> Status:
    """Read a group's status; without the broker's logs the lag is None, unknown."""

    def rows(name: str) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.exec_driver_sql(STATUS[name], {"group_id": group_id}).mappings()]

    positions = [_with_lag(position, logs) for position in rows("positions")]
    unseen = set(logs or ()) - {(position["topic"], position["partition"]) for position in positions}
    waiting = sum(logs[place].high - logs[place].low for place in unseen) if logs else 0
    return Status(
        group_id=group_id,
        positions=positions,
        lag=None if logs is None else waiting + sum(position["lag"] for position in positions),
        conflicts=sum(position["conflicts"] for position in positions),
        dead_letters=rows("dead_letters"),
        last_check=next(iter(rows("last_check")), None),
        last_verified=next(iter(rows("last_verified")), None),
        asked_at=now,
    )


def _with_lag(position: dict[str, Any], logs: Mapping[TopicPartition, Log] | None) -> dict[str, Any]:
    log = (logs or {}).get((position["topic"], position["partition"]))
    end = None if log is None else log.high
    lag = 0 if logs is not None and end is None else None if end is None else max(0, end - position["next_offset"])
    return {**position, "end": end, "lag": lag}


def show(status: Status) -> None:
    """Print a status for people."""
    print_table(
        f"Positions of group {status.group_id}",
        ["Topic", "Partition>", "Next offset>", "End>", "Lag>", "Moved"],
        [
            [p["topic"], p["partition"], p["next_offset"], p["end"], p["lag"], _ago(p["updated_at"], status.asked_at)]
            for p in status.positions
        ],
    )
    out = stdout()
    out.print(f"Lag: {'unknown' if status.lag is None else f'{status.lag:,} messages'}")
    if status.conflicts:
        out.print(f"Conflicts: {status.conflicts:,} events had the version of another and other content")
    if status.dead_letters:
        rows = [[d["reason"], d["open"], _ago(d["last_at"], status.asked_at)] for d in status.dead_letters]
        print_table("Open dead letters", ["Reason", "Open>", "Last"], rows)
    else:
        out.print("Dead letters: none open")
    out.print(_verified_line(status))
    out.print(_check_line(status))
    for problem in status.topic_problems:
        out.print(f"Warning: {problem}")


def _check_line(status: Status) -> str:
    check = status.last_check
    if check is None:
        return "Last drift check: never; `backfill drift-check` proves the balances"
    left = check["findings"] - check["repaired"]
    proved = check["state"] == "finished" and check["failed"] == 0
    clean = "no drift" if proved else "no drift in what was compared"
    verdict = clean if not check["findings"] else f"{check['findings']} findings, {left} of them not repaired"
    if check["failed"]:
        verdict += f"; {check['failed']} chunks could not be compared"
    when = _ago(check["finished_at"] or check["started_at"], status.asked_at)
    return f"Last drift check: {when}, {check['command']} {check['run_id']} {check['state']}: {verdict}"


def _verified_line(status: Status) -> str:
    verified = status.last_verified
    if verified is None:
        return "Last verified: never as a whole"
    began, ended = (_ago(verified[moment], status.asked_at) for moment in ("started_at", "finished_at"))
    late = f"; OVERDUE, promised was {timedelta(seconds=verified['promised_seconds'])}" if verified["overdue"] else ""
    return f"Last verified: every balance was compared between {began} and {ended}{late}"


def _ago(then: datetime, now: datetime) -> str:
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
