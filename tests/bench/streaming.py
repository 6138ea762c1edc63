"""The projector on a backlog: a real process, from Kafka's first byte to the last commit."""

from dataclasses import dataclass
from typing import Any

from events.errors import WorkFailed
from tests.bench.figures import Figure, megabytes
from tests.bench.programs import Ended, records, run, when
from tests.bench.workload import Workload, say


@dataclass(frozen=True, kw_only=True)
class CaughtUp:
    """A run of the projector that consumed everything, read from its own log."""

    ended: Ended
    seconds: float  # from having joined, before the first byte is fetched, to the last batch's commit
    merging_seconds: float  # of which a batch was in PostgreSQL's hands
    database_seconds: float  # of processor time
    batches: int
    applied: int
    events: int


def project(workload: Workload) -> list[Figure]:
    """Publish the events, then consume them."""
    say(f"publishing {workload.plan.events:,} events")
    published = workload.publish()
    workload.settle()
    say("projecting them")
    done = _catch_up(workload, "projector")
    return [
        Figure(key="publish.events_per_second", what="events publish, validating", value=published, unit="events/s"),
        *_figures("projector", "first byte to last commit", done),
        Figure(
            key="projector.merging",
            what="of that time a batch was with PostgreSQL",
            value=100 * done.merging_seconds / done.seconds,
            unit="%",
        ),
        Figure(key="projector.peak_memory", what="peak memory", value=megabytes(done.ended.peak_bytes), unit="MB"),
    ]


def project_duplicates(workload: Workload) -> list[Figure]:
    """Publish the same events again, and consume them to no effect.

    Raises:
        WorkFailed: where a duplicate had an effect.

    """
    say(f"publishing the same {workload.plan.events:,} events again")
    workload.publish()
    workload.settle()
    say("consuming the duplicates")
    done = _catch_up(workload, "duplicates")
    if done.applied:
        raise WorkFailed(f"{done.applied} of {done.events} duplicates were applied")
    return _figures("duplicates", "everything once more, all of it stale", done)


def _figures(measurement: str, what: str, done: CaughtUp) -> list[Figure]:
    return [
        Figure(key=f"{measurement}.events_per_second", what=what, value=done.events / done.seconds, unit="events/s"),
        Figure(
            key=f"{measurement}.process_events_per_second",
            what="the same with the process's start and end",
            value=done.events / done.ended.wall_seconds,
            unit="events/s",
        ),
        Figure(
            key=f"{measurement}.events_per_batch",
            what="events in one transaction, on average",
            value=done.events / done.batches,
            unit="events",
        ),
        Figure(
            key=f"{measurement}.process_cpu",
            what="the process's processor time an event, start and end included",
            value=1e6 * done.ended.cpu_seconds / done.events,
            unit="µs",
        ),
        Figure(
            key=f"{measurement}.database_cpu",
            what="PostgreSQL's processor time an event",
            value=1e6 * done.database_seconds / done.events,
            unit="µs",
        ),
    ]


def _catch_up(workload: Workload, name: str) -> CaughtUp:
    with workload.database_time() as database:
        ended = run(
            workload.folder, name, "projector", "run", "--until-caught-up", environment=workload.environment
        ).expect(0)
    joined, batches = records(ended.log, "joined"), records(ended.log, "batch")
    events = _sum(batches, "events")
    if not joined or events != workload.plan.events:
        raise WorkFailed(f"{name}: {events:,} of {workload.plan.events:,} events were consumed; see the log")
    return CaughtUp(
        ended=ended,
        seconds=when(batches[-1]) - when(joined[0]),
        merging_seconds=_sum(batches, "ms") / 1000,
        database_seconds=database.seconds,
        batches=len(batches),
        applied=_sum(batches, "applied"),
        events=events,
    )


def _sum(batches: list[dict[str, Any]], member: str) -> int:
    return int(sum(batch[member] for batch in batches))
