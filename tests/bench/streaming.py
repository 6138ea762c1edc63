"""The projector on a backlog: a real process, from Kafka's first byte to the last commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from events.runtime.errors import WorkFailedError
from tests.bench.figures import Figure, megabytes
from tests.bench.programs import Ended, records, run, when
from tests.bench.workload import Workload, say

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class CaughtUp:
    """A run of the projector that consumed everything, read from its own log."""

    ended: Ended
    seconds: float  # from having joined, before the first byte is fetched, to the last batch's commit
    merging_seconds: float  # of which a batch was in PostgreSQL's hands
    database_seconds: float  # of processor time
    batches: Sequence[Mapping[str, Any]]
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
        *_growth(done),
    ]


def project_duplicates(workload: Workload) -> list[Figure]:
    """Publish the same events again, and consume them to no effect.

    Raises:
        WorkFailedError: where a duplicate had an effect.

    """
    say(f"publishing the same {workload.plan.events:,} events again")
    workload.publish()
    workload.settle()
    say("consuming the duplicates")
    done = _catch_up(workload, "duplicates")
    if done.applied:
        raise WorkFailedError(f"{done.applied} of {done.events} duplicates were applied")
    return _figures("duplicates", "everything once more, all of it stale", done)


def _growth(done: CaughtUp) -> list[Figure]:
    """Hold the last tenth against the second: what grows with time shows there, what grows at the start does not."""
    resident, batches = done.ended.resident_bytes, done.batches
    memory = [max(tenth) for tenth in (second_tenth(resident), last_tenth(resident))]
    taken = [
        sum(batch["ms"] for batch in tenth) / _sum(tenth, "events")
        for tenth in (second_tenth(batches), last_tenth(batches))
    ]
    return [
        Figure(
            key="projector.memory_growth", what="memory, last tenth / second", value=memory[1] / memory[0], unit="x"
        ),
        Figure(
            key="projector.commit_growth",
            what="transaction time an event, last tenth / second",
            value=taken[1] / taken[0],
            unit="x",
        ),
    ]


def second_tenth(values: Sequence[Value]) -> Sequence[Value]:
    """Take the second tenth, or what there is of it."""
    return values[len(values) // 10 : max(len(values) // 5, len(values) // 10 + 1)]


def last_tenth(values: Sequence[Value]) -> Sequence[Value]:
    """Take the last tenth."""
    return values[-max(1, len(values) // 10) :]


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
            value=done.events / len(done.batches),
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
        raise WorkFailedError(f"{name}: {events:,} of {workload.plan.events:,} events were consumed; see the log")
    return CaughtUp(
        ended=ended,
        seconds=when(batches[-1]) - when(joined[0]),
        merging_seconds=_sum(batches, "ms") / 1000,
        database_seconds=database.seconds,
        batches=batches,
        applied=_sum(batches, "applied"),
        events=events,
    )


def _sum(batches: Sequence[Mapping[str, Any]], member: str) -> int:
    return int(sum(batch[member] for batch in batches))
