"""A status for people: what needs attention in one line, then a line for each fact, then the tables."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from events.runtime.console import print_table, say
from events.runtime.wording import agree, counted
from projector.positions.view import title
from projector.status.status import Status

DUE_SECONDS: Final = 60  # an assignment that is due longer than this waits for a consumer


def show(status: Status) -> None:
    """Print a status."""
    attention = list(_attention(status))
    say(f"Needs attention: {'; '.join(attention)}." if attention else "Nothing needs attention.")
    for line in _facts(status):
        say(line)
    _show_tables(status)


def _attention(status: Status) -> Iterator[str]:
    """Name what somebody should look at; what a running consumer deals with by itself is not among it."""
    if status.kafka_failure:
        yield "Kafka did not say all that is asked here"
    yield from status.exceeded
    if status.stops:
        yield f"{agree(len(status.stops), 'a consumer has', 'consumers have')} stopped with an error"
    if status.lag and status.consumers == []:
        yield f"{counted(status.lag, 'message')} {agree(status.lag, 'waits', 'wait')}, and no consumer is running"
    if dead := _open_letters(status):
        are, them = agree(dead, "is", "are"), agree(dead, "it", "them")
        yield f"{counted(dead, 'dead letter')} {are} open: `projector dead-letters list` shows {them}"
    yield from _left_by_checks(status)
    yield from _checks_not_done(status)
    if _late(status):
        yield "an assignment is due, and no consumer has moved the clock"
    if status.topic_problems:
        yield "a topic's configuration is wrong"


def _left_by_checks(status: Status) -> Iterator[str]:
    """Name what checks have found and nothing has repaired, and what to type."""
    check, of_log = status.last_check, status.last_log_check
    if check and (left := _left(check)):
        if check["repaired_since"]:
            yield "what the last check found may be repaired by now: `backfill drift-check` compares again"
        else:
            shows = f"`backfill runs show {check['run_id']}` shows {agree(left, 'it', 'them')}"
            yield f"the last {check['command']} left {counted(left, 'finding')}: {shows}"
    if of_log and (left := _left(of_log)):
        yield f"verify-log left {counted(left, 'finding')}: `backfill runs show {of_log['run_id']}` shows how to go on"


def _checks_not_done(status: Status) -> Iterator[str]:
    """Name runs that nobody carries out, and a promise to compare everything that is broken."""
    for run in status.abandoned:
        says = f"{run['command']} {run['run_id']} says that it runs, and no process carries it out"
        yield f"{says}: `backfill runs` shows how to go on"
    if status.checker and status.checker["overdue"]:
        why = "the checker is late" if status.checker["processes"] else "no checker is at work"
        yield f"a check of every balance is overdue, and {why}"


def _left(check: Mapping[str, Any]) -> int:
    return int(check["findings"] - check["repaired"])


def _open_letters(status: Status) -> int:
    return sum(each["open"] for each in status.dead_letters)


def _facts(status: Status) -> Iterator[str]:
    yield f"Lag: {'unknown' if status.lag is None else counted(status.lag, 'message')}"
    yield _consumers(status)
    yield from (_stop_line(stop, status.asked_at) for stop in status.stops)
    if status.kafka_failure:
        yield status.kafka_failure if status.kafka_failure.startswith("Kafka") else f"Kafka: {status.kafka_failure}"
    if status.conflicts:
        had = f"{counted(status.conflicts, 'event')} had the version of another event, and other content"
        yield f"Conflicts: {had}; the consumer's log names them"
    dead = _open_letters(status)
    yield f"Dead letters: {f'{dead:,} open' if dead else 'none open'}"
    yield _verified_line(status)
    if status.checker:
        yield f"Checker: {_checker(status.checker, status.abandoned, status.asked_at)}"
    yield _check_line(status)
    if status.last_log_check:
        yield f"Last comparison with the log: {_outcome_of(status.last_log_check, status.asked_at)}"
    if status.assignments and status.assignments["ahead"]:
        yield _assignments_line(status.assignments, status.asked_at)
    for problem in status.topic_problems:
        yield f"Warning: {problem}"
    for limit in status.exceeded:
        yield f"Behind: {limit}"


def _show_tables(status: Status) -> None:
    if status.dead_letters:
        rows = [[d["reason"], d["open"], ago(d["last_at"], status.asked_at)] for d in status.dead_letters]
        print_table("Open dead letters", ["Reason", "Open>", "Last"], rows)
    if status.consumers:
        rows = [[_client(each), each["host"], _partitions(each["partitions"])] for each in status.consumers]
        print_table("Consumers", ["Client", "Host", "Partitions~"], rows)
    used = [each for each in status.positions if each["next_offset"] or each["end"]]
    print_table(
        title(status.group_id, left_out=len(status.positions) - len(used)),
        ["Topic", "Partition>", "Next offset>", "End>", "Lag>", "Moved"],
        [
            [p["topic"], p["partition"], p["next_offset"], p["end"], p["lag"], ago(p["updated_at"], status.asked_at)]
            for p in used
        ],
    )


def _consumers(status: Status) -> str:
    if status.consumers:
        return f"Consumers: {len(status.consumers)} {agree(len(status.consumers), 'is', 'are')} running"
    if status.consumers is None:
        hidden = "" if status.kafka_failure else "unknown to us: grant DESCRIBE on the group; "
        return f"Consumers: {hidden}{_sessions(status.sessions)}"
    if status.sessions:
        held = _sessions(status.sessions)
        return f"Consumers: no consumer is running in this group; {held}: it starts or hangs, or is of another group"
    return "Consumers: no consumer is running"


def _stop_line(stop: Mapping[str, Any], now: datetime) -> str:
    often = f", {stop['times']:,} times since {ago(stop['first_at'], now)}" if stop["times"] > 1 else ""
    return f"Stopped: {ago(stop['stopped_at'], now)} on {stop['host']}{often}: {stop['message']}"


def _late(status: Status) -> bool:
    next_at = status.assignments["next_at"] if status.assignments else None
    return next_at is not None and (status.asked_at - next_at).total_seconds() > DUE_SECONDS


def _assignments_line(assignments: Mapping[str, Any], now: datetime) -> str:
    count = assignments["ahead"]
    verb = agree(count, "begins or ends", "begin or end")
    next_at = assignments["next_at"].astimezone(now.tzinfo)
    return f"Assignments: {count:,} {verb} later, the next on {next_at:%Y-%m-%d %H:%M %Z}"


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
    if status.last_check is None:
        return "Last drift check: never; `backfill drift-check` compares the balances with history"
    return f"Last drift check: {_outcome_of(status.last_check, status.asked_at)}"


def _outcome_of(check: Mapping[str, Any], now: datetime) -> str:
    complete = check["state"] == "finished" and check["failed"] == 0
    if check["findings"]:
        verdict = f"{counted(check['findings'], 'finding')}, {_left(check):,} not repaired"
    else:
        verdict = "no drift" if complete else "no drift in what was compared"
    if check["failed"]:
        verdict += f"; {counted(check['failed'], 'chunk')} could not be compared"
    when = ago(check["finished_at"] or check["started_at"], now)
    return f"{when}, {check['command']} {check['run_id']} {check['state']}: {verdict}"


def _verified_line(status: Status) -> str:
    verified = status.last_verified
    if verified is None:
        return "Last verified: never; no run has compared every balance yet"
    began, ended = (ago(verified[moment], status.asked_at) for moment in ("started_at", "finished_at"))
    within = timedelta(seconds=verified["promised_seconds"] or 0)
    late = f"; OVERDUE, promised within {within}" if verified["overdue"] else ""
    if verified["is_empty"]:
        return f"Last verified: {ended}; there are no balances to compare{late}"
    when = ended if began == ended else f"between {began} and {ended}"
    return f"Last verified: every balance was compared {when}{late}"


def _checker(checker: Mapping[str, Any], abandoned: Sequence[Mapping[str, Any]], now: datetime) -> str:
    """Tell one that is dead, one that is at work, and one that is quiet because the next round is not due."""
    run = f"run {checker['run_id']}"
    if checker["run_id"] in {each["run_id"] for each in abandoned}:
        return f"dead; no process carries out its {run}, which last moved {ago(checker['updated_at'], now)}"
    promised = timedelta(seconds=checker["promised_seconds"])
    if checker["state"] == "running":
        late = f"; late, everything was promised to be compared within {promised}" if checker["overdue"] else ""
        return f"at work on {run}, which last moved {ago(checker['updated_at'], now)}{late}"
    last = f"its last {run} {checker['state']} {ago(checker['finished_at'] or checker['updated_at'], now)}"
    if checker["overdue"]:
        return f"gone, or each round fails; {last}, and everything was promised to be compared within {promised}"
    due = checker["due_at"].astimezone(now.tzinfo)
    return f"quiet; {last}, and everything is promised to be compared again by {due:%Y-%m-%d %H:%M:%S %Z}"


def ago(then: datetime, now: datetime) -> str:
    """Write how long ago something was, in its largest unit: `3 min ago`."""
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
