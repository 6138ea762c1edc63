"""Very many payments of one invoice, or of one meter, beside as many of as many: what a batch of the merge costs.

Applied by the projector's own merge on one connection, without Kafka, whose part is the same for all of them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Final

from projector.database.engines import make_engine
from tests.bench.figures import Figure
from tests.bench.plan import Measurement
from tests.bench.programs import run
from tests.bench.workload import Workload, say
from tests.support.examples import CloudEvent, invoice, payment
from tests.support.merge_harness import MergeHarness

BATCH: Final = 5_000
REPEATED: Final = 9  # of which the median counts
ORDINARY: Final = 1_000_000
"""Keys from here on are those of the ordinary shape."""


def measure(workload: Workload) -> Iterator[Figure]:
    """Measure those that were asked for, each with tables of its own."""
    if Measurement.HOT_INVOICE in workload.plan.only:
        yield from _hot_invoice(workload)
    if Measurement.HOT_METER in workload.plan.only:
        yield from _hot_meter(workload)


def _hot_invoice(workload: Workload) -> list[Figure]:
    payments = workload.plan.shape
    with _lane(workload, "hot_invoice") as harness:
        say(f"{payments:,} payments of as many invoices, then of one")
        _each(harness, [invoice(ORDINARY + key, ORDINARY + key, "1.00") for key in range(payments)])
        ordinary = _each(
            harness, [payment(ORDINARY + key, "1.00", invoice_id=ORDINARY + key) for key in range(payments)]
        )
        harness.apply([invoice(1, 1, "1.00")])
        hot = _each(harness, [payment(key, "1.00", invoice_id=1) for key in range(1, payments + 1)])
        _vacuum(harness)
        ordinary_ms = _repeated(harness, lambda _: invoice(ORDINARY, ORDINARY, "1.00"))
        hot_ms = _repeated(harness, lambda _: invoice(1, 1, "1.00"))
    return [
        Figure(key="hot-invoice.ordinary_payment_us", what="a payment, of as many invoices", value=ordinary, unit="µs"),
        Figure(key="hot-invoice.payment_us", what=f"a payment, {payments:,} of one invoice", value=hot, unit="µs"),
        Figure(
            key="hot-invoice.ordinary_duplicate_ms",
            what="a duplicate of an invoice with one payment",
            value=ordinary_ms,
            unit="ms",
        ),
        Figure(key="hot-invoice.duplicate_ms", what=f"of that with {payments:,}", value=hot_ms, unit="ms"),
    ]


def _hot_meter(workload: Workload) -> list[Figure]:
    payments = workload.plan.shape
    with _lane(workload, "hot_meter") as harness:
        say(f"{payments:,} payments of as many meters, then of one")
        ordinary = _each(harness, [payment(ORDINARY + key, "1.00", meter_id=ORDINARY + key) for key in range(payments)])
        hot = _each(harness, [payment(key, "1.00", meter_id=1) for key in range(1, payments + 1)])
        _vacuum(harness)
        ordinary_ms = _repeated(harness, lambda version: _redated(ORDINARY, ORDINARY, version))
        hot_ms = _repeated(harness, lambda version: _redated(1, 1, version))
    return [
        Figure(key="hot-meter.ordinary_payment_us", what="a payment, of as many meters", value=ordinary, unit="µs"),
        Figure(key="hot-meter.payment_us", what=f"a payment, {payments:,} of one meter", value=hot, unit="µs"),
        Figure(
            key="hot-meter.ordinary_redated_ms",
            what="the latest re-dated, of a meter with one payment",
            value=ordinary_ms,
            unit="ms",
        ),
        Figure(key="hot-meter.redated_ms", what=f"of that with {payments:,}", value=hot_ms, unit="ms"),
    ]


def _redated(key: int, meter: int, version: int) -> CloudEvent:
    """Make a payment the latest of its meter, every other time, and one of the earliest in between."""
    year = 2030 if version % 2 else 2020
    return payment(key, "1.00", "amended", meter_id=meter, version=version, paid_at=f"{year}-01-01T00:00:00Z")


def _each(harness: MergeHarness, events: Sequence[CloudEvent]) -> float:
    """Apply events in batches; return the microseconds that one took, decoding left out."""
    batches = [harness.batch(events[first : first + BATCH]) for first in range(0, len(events), BATCH)]
    begun = time.perf_counter()
    for batch in batches:
        harness.apply_batch(batch)
    return (time.perf_counter() - begun) / len(events) * 1e6


def _repeated(harness: MergeHarness, event: Callable[[int], CloudEvent]) -> float:
    """Apply an event alone again and again, given a version that grows; return the median of the milliseconds."""
    seconds = []
    for version in range(2, 2 + REPEATED):
        batch = harness.batch([event(version)])
        begun = time.perf_counter()
        harness.apply_batch(batch)
        seconds.append(time.perf_counter() - begun)
    return median(seconds) * 1e3


def _vacuum(harness: MergeHarness) -> None:
    harness.connection.execute("VACUUM (ANALYZE)")


@contextmanager
def _lane(workload: Workload, schema: str) -> Iterator[MergeHarness]:
    environment = workload.environment | {"PROJECTOR_SCHEMA": schema}
    run(workload.folder, f"init-{schema}", "projector", "init", environment=environment).expect(0)
    settings = workload.settings.model_copy(update={"schema_name": schema})
    engine = make_engine(settings, program="bench")
    harness = MergeHarness(engine, settings)
    try:
        yield harness
    finally:
        harness.close()
        engine.dispose()
