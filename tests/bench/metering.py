"""What metrics cost a consumer: counting what was applied, and answering scrapes, as a share of its processor time.

A difference of a hundredth between two runs of the projector is lost among other programs' noise. So both parts are
measured alone, on a batch of the same events, and divided by the time an event that the projector's run has just used.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from prometheus_client.exposition import generate_latest

from events.contract.decode import Decoder
from events.contract.types import Event, Message, topic_of
from events.runtime.errors import WorkFailedError
from projector.consume.applied import Applied
from projector.consume.batch import Batch, end_offsets_of, make_item
from projector.consume.consumer_metrics import STAGES, ConsumerMetrics
from projector.consume.observer import Laps
from projector.metrics.broker_watch import BrokerWatch
from projector.metrics.families import registry
from tests.bench.figures import Figure
from tests.bench.workload import Workload, say

SCRAPE_SECONDS: Final = 15  # between two scrapes: Prometheus's own default is 60
SMALL: Final = 20  # events of a batch while the stream is slow
REPEAT_SECONDS: Final = 0.5  # processor time that a measurement takes at least


def measure(workload: Workload, projected: list[Figure]) -> list[Figure]:
    """Measure on the first events that the projector has applied.

    Args:
        workload: its bulk.
        projected: the projector's figures.

    """
    say("counting for metrics")
    value = {figure.key: figure.value for figure in projected}
    metrics = ConsumerMetrics(workload.settings, BrokerWatch(workload.settings))
    page = registry(metrics.collect)
    batch = _batch(workload, min(workload.settings.batch_events_max, workload.plan.events))
    counting = _counting(metrics, batch) / len(batch.items)
    small = _batch(workload, min(SMALL, workload.plan.events))
    counting_small = _counting(metrics, small) / len(small.items)
    scrape = _processor_seconds(lambda: generate_latest(page))
    events = value["projector.events_per_second"] * SCRAPE_SECONDS
    cost = 1e6 * (counting + scrape / events)
    return [
        Figure(key="metrics.counting", what="counting an event, of a full batch", value=1e6 * counting, unit="µs"),
        Figure(key="metrics.counting_small", what=f"of a batch of {SMALL}", value=1e6 * counting_small, unit="µs"),
        Figure(key="metrics.scrape", what="answering a scrape", value=1e3 * scrape, unit="ms"),
        Figure(
            key="metrics.share",
            what=f"of the projector's processor time an event, with a scrape every {SCRAPE_SECONDS} s",
            value=100 * cost / value["projector.process_cpu"],
            unit="%",
        ),
    ]


def _batch(workload: Workload, count: int) -> Batch:
    """Read a batch from the file, as the consumer would from Kafka."""
    items, offsets = [], Counter[str]()
    decode = Decoder(workload.settings.currency, workload.settings.topic_prefix)
    with workload.bulk.open("rb") as lines:
        for number, line in enumerate(islice(lines, count), start=1):
            event = decode.structured(line)
            if not isinstance(event, Event):
                raise WorkFailedError(f"line {number} of the simulated events is refused: {event.detail}")
            topic = topic_of(event.entity, workload.settings.topic_prefix)
            at = int(time.time() * 1000) - number
            items.append(make_item(Message(topic, 0, offsets[topic], at, None, line, ()), event))
            offsets[topic] += 1
    end_offsets = end_offsets_of(items)
    return Batch(items=items, start_offsets=dict.fromkeys(end_offsets, 0), end_offsets=end_offsets)


def _counting(metrics: ConsumerMetrics, batch: Batch) -> float:
    """Return the processor seconds that counting a committed batch takes."""
    by_entity = Counter(item.entity for item in batch.items)
    applied = Applied(events=len(batch.items), applied=len(batch.items), by_entity=by_entity)
    laps = Laps()
    for stage in STAGES:
        laps(stage)

    def count() -> None:
        metrics.read(polling_seconds=0.1, decoding_seconds=0.1)
        metrics.committed(batch, applied, laps)

    return _processor_seconds(count)


def _processor_seconds(work: Callable[[], object]) -> float:
    """Repeat some work; return its processor seconds a time."""
    return min(_repeated(work))


def _repeated(work: Callable[[], object]) -> Iterator[float]:
    """Time it in rounds that each take long enough to be read from the clock."""
    for _ in range(3):
        begun, times = time.process_time(), 0
        while (taken := time.process_time() - begun) < REPEAT_SECONDS:
            work()
            times += 1
        yield taken / times
