"""What a rebuild says is so, while consumers hand over the very meters that it repairs."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Final

from events.publish import publish
from tests.support.deployment import EAGER, Deployment, ended, log
from tests.support.rewriting import rewritten

BATCHES: Final = {"PROJECTOR_BATCH_EVENTS_MAX": "50"}
CHUNKS: Final = ("--chunk-size", "10", "--no-governor")
TRAFFIC: Final = ("--seed", "12", "--customers", "60", "--meters", "120", "--months", "2")
EDIT: Final = "UPDATE meter_balances SET total_billed = total_billed + 100 + meter_id WHERE meter_id % 3 = 0"
REBUILDS: Final = 3
SLICE: Final = 40
AHEAD: Final = 120


def test_a_rebuild_beside_rewritten_assignments_leaves_nobody_behind(deployment: Deployment) -> None:
    """Every third meter is edited by hand, and each rebuild has a second stream of amended assignments beside it."""
    lines = deployment.simulate(*TRAFFIC)
    deployment.publish(lines)
    consumers = [deployment.consumer(EAGER | BATCHES) for _ in range(2)]
    deployment.await_caught_up()
    rewriting = map(json.dumps, rewritten(lines, random.Random(12)))
    for _ in range(REBUILDS):
        deployment.sql(EDIT)
        with _rewriting(deployment, rewriting, lines):
            rebuilt = deployment.command("backfill", "rebuild", *CHUNKS)
        assert rebuilt.exit_code == 0, rebuilt.stdout + rebuilt.stderr
        deployment.await_caught_up()
        after = deployment.drift_check(*CHUNKS)
        assert after.exit_code == 0, rebuilt.stdout + after.stdout
    assert not any(ended(consumer) for consumer in consumers), log(consumers[0])
    assert not deployment.disagreement(lines)


@contextmanager
def _rewriting(deployment: Deployment, lines: Iterator[str], sent: list[str]) -> Iterator[None]:
    """Publish slice after slice for as long as the block lasts, never far ahead of the consumers."""
    enough = Event()

    def flow() -> None:
        while not enough.is_set():
            part = [next(lines) for _ in range(SLICE)]
            publish((line.encode() for line in part), deployment.settings, "slice")
            sent.extend(part)
            deployment.await_progress(len(sent) - AHEAD)

    with ThreadPoolExecutor(1) as pool:
        flowing = pool.submit(flow)
        try:
            yield
        finally:
            enough.set()
            flowing.result()
