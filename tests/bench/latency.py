"""From produce to visible balance, at a steady rate, with a projector that is caught up.

The clock starts when an event is handed to the producer (the one `events publish` uses, whose linger counts) and stops
when a bystander's query first sees a position beyond it. Position and balance move in one transaction, so who sees the
one sees the other; every event is measured, not a sample. The bystander asks every millisecond, and its own query
takes its share of the machine: figures are too large by one to two milliseconds, never too small.
"""

import subprocess
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from math import ceil
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, Message

from events.contract.cloudevents import STRUCTURED_HEADERS
from events.contract.decode import Decoder
from events.contract.types import KEY_OF, Event, topic_of
from events.runtime import kafka
from events.runtime.errors import WorkFailedError
from projector.sandbox.processes import last_line, wait_until
from tests.bench.figures import Figure
from tests.bench.plan import WARM_UP_SECONDS, Steady
from tests.bench.programs import command, records
from tests.bench.workload import Workload, say

POLL_SECONDS: Final = 0.001
TICK_SECONDS: Final = 0.001  # events are sent a few at a time, never in a burst that would wait in line behind itself
JOIN_SECONDS: Final = 60
CATCH_UP_SECONDS: Final = 60
STOP_SECONDS: Final = 300

TopicPartition = tuple[str, int]


class Outgoing(NamedTuple):
    """A message to send."""

    topic: str
    key: bytes
    value: bytes


class Sent(NamedTuple):
    """Where a message went, and when it was handed over."""

    place: TopicPartition
    offset: int
    at: float


class Seen(NamedTuple):
    """A position that became visible, and when."""

    next_offset: int
    at: float


class Streamed(NamedTuple):
    """A steady stream that was applied: each event's time in ms, ascending, and how many a second came and went."""

    waits: Sequence[float]
    sent_per_second: float
    applied_per_second: float


def measure(workload: Workload) -> list[Figure]:
    """Send the plan's rate of events beside a running projector."""
    with projecting(workload):
        streamed = stream(workload, workload.plan.steady)
    return [
        Figure(
            key="latency.p50", what="produce to visible balance, median", value=rank(streamed.waits, 0.5), unit="ms"
        ),
        Figure(key="latency.p99", what="of 99 in 100", value=rank(streamed.waits, 0.99), unit="ms"),
        Figure(key="latency.max", what="the longest", value=streamed.waits[-1], unit="ms"),
        Figure(key="latency.events_per_second", what="sent meanwhile", value=streamed.sent_per_second, unit="events/s"),
    ]


def stream(workload: Workload, steady: Steady) -> Streamed:
    """Send one part of the tail at its rate, and wait until a running projector has applied it."""
    outgoing = list(_outgoing(workload, steady))
    with _bystander(workload) as seen:
        lasts = f"{steady.seconds} s, after {WARM_UP_SECONDS} s that do not count"
        say(f"sending {steady.rate:,} events a second for {lasts}")
        sent, per_second = _send(workload, outgoing, steady.rate)
        ends = {place: max(one.offset for one in sent if one.place == place) for place in {one.place for one in sent}}
        if not wait_until(lambda: _reached(seen, ends), seconds=CATCH_UP_SECONDS):
            raise WorkFailedError(f"after {CATCH_UP_SECONDS} s the projector has still not caught up")
    counted = sorted(sent, key=lambda one: one.at)[steady.rate * WARM_UP_SECONDS :]
    waits = list(waits_of(counted, seen))
    until = max(one.at + wait for one, wait in zip(counted, waits, strict=True))
    return Streamed(sorted(1000 * wait for wait in waits), per_second, len(counted) / (until - counted[0].at))


def waits_of(sent: Sequence[Sent], seen: Mapping[TopicPartition, Sequence[Seen]]) -> Iterator[float]:
    """Yield for each event the seconds until a position beyond it was visible."""
    offsets = {place: [one.next_offset for one in positions] for place, positions in seen.items()}
    for one in sent:
        first = bisect_right(offsets[one.place], one.offset)
        yield seen[one.place][first].at - one.at


def rank(ascending: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed (nearest rank)."""
    return ascending[max(0, ceil(share * len(ascending)) - 1)]


def _outgoing(workload: Workload, steady: Steady) -> Iterator[Outgoing]:
    settings = workload.settings
    decoder = Decoder(settings.currency, settings.topic_prefix)
    with workload.tail.open("rb") as lines:
        for line in islice(lines, steady.first, steady.first + steady.events):
            event = decoder.structured(line)
            if not isinstance(event, Event):
                raise WorkFailedError(f"a simulated event is refused: {event.detail}")
            key = event.data.get("meter_id") or event.data[KEY_OF[event.entity]]
            yield Outgoing(topic_of(event.entity, settings.topic_prefix), b"%d" % key, line.strip())


@contextmanager
def projecting(workload: Workload) -> Iterator[None]:
    """Run a projector that has joined; end it as an operator would."""
    log = workload.folder / "latency.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command("projector", "run"), env=workload.environment, cwd=workload.folder, stdin=subprocess.DEVNULL,
            stderr=file,
        )  # fmt: skip
        try:
            joined = wait_until(lambda: bool(records(log, "joined")), seconds=JOIN_SECONDS)
            if not joined or process.poll() is not None:
                raise WorkFailedError(f"the projector has not joined: {last_line(log)}")
            yield
            process.terminate()
            if process.wait(STOP_SECONDS):
                raise WorkFailedError(f"the projector ended with {process.returncode} on SIGTERM")
        finally:
            process.kill()
            process.wait()


@contextmanager
def _bystander(workload: Workload) -> Iterator[Mapping[TopicPartition, list[Seen]]]:
    """Look at the positions all the time from a thread and a connection of its own; hand out what it sees."""
    seen: defaultdict[TopicPartition, list[Seen]] = defaultdict(list)
    enough = threading.Event()

    def look() -> None:
        with workload.connected() as connection, connection.cursor() as cursor:
            while not enough.wait(POLL_SECONDS):
                rows = cursor.execute("SELECT topic, partition, next_offset FROM positions", prepare=True).fetchall()
                now = time.perf_counter()
                for topic, partition, next_offset in rows:
                    known = seen[topic, partition]
                    if not known or known[-1].next_offset != next_offset:
                        known.append(Seen(next_offset, now))

    thread = threading.Thread(target=look, name="bystander")
    thread.start()
    try:
        yield seen
    finally:
        enough.set()
        thread.join()


def _send(workload: Workload, outgoing: Sequence[Outgoing], rate: int) -> tuple[list[Sent], float]:
    """Send at a steady rate; return what was delivered, and the rate that was kept."""
    sent: list[Sent] = []
    failed: list[str] = []

    def delivered(at: float, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error.str())
        else:
            sent.append(Sent((str(message.topic()), message.partition() or 0), message.offset() or 0, at))

    producer = kafka.producer(workload.settings)
    pace = threading.Event()  # is never set: a wait that ends on time
    begun = time.perf_counter()
    handed = 0
    while handed < len(outgoing):
        due = min(len(outgoing), int((time.perf_counter() - begun) * rate) + 1)
        for one in outgoing[handed:due]:
            report = partial(delivered, time.perf_counter())
            producer.produce(one.topic, one.value, one.key, on_delivery=report, headers=list(STRUCTURED_HEADERS))
        handed = due
        producer.poll(0)
        pace.wait(TICK_SECONDS)
    seconds = time.perf_counter() - begun
    producer.flush(CATCH_UP_SECONDS)
    if failed or len(sent) != len(outgoing):
        raise WorkFailedError(f"{len(outgoing) - len(sent)} events could not be delivered: {failed[:1]}")
    return sent, len(outgoing) / seconds


def _reached(seen: Mapping[TopicPartition, Sequence[Seen]], ends: Mapping[TopicPartition, int]) -> bool:
    return all(seen.get(place) and seen[place][-1].next_offset > end for place, end in ends.items())
