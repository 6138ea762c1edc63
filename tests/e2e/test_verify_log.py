"""The auditor of the log beside consumers at work: nothing that is not there, and what is, mended under load."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from threading import Event
from typing import Final

from events.publish import publish
from tests.conftest import Result
from tests.support.deployment import EAGER, Deployment, ended, log

BATCHES: Final = {"PROJECTOR_BATCH_EVENTS_MAX": "50"}
TRAFFIC: Final = ("--seed", "12", "--customers", "60", "--months", "3", "--shuffle", "10%", "--duplicates", "10%")
SLICE_LINES: Final = 100


def test_beside_consumers_at_work_it_finds_what_a_hand_did_and_nothing_else(deployment: Deployment) -> None:
    lines = deployment.simulate(*TRAFFIC)
    half = len(lines) // 2
    gone = _only_in(lines[:half], lines[half:])
    deployment.publish(lines[:half])
    consumers = [deployment.consumer(EAGER | BATCHES) for _ in range(2)]
    deployment.await_caught_up()
    with _flowing(deployment, lines[half:]):
        for verified in _verified_beside_the_stream(deployment):
            assert verified.exit_code == 0, verified.stdout + verified.stderr
        deployment.sql("UPDATE invoices SET amount = amount + 1, version = 999 WHERE invoice_id = 1")
        deployment.sql(f"DELETE FROM meter_assignments WHERE assignment_id = {gone}")
        repaired = deployment.command("backfill", "verify-log", "--repair", "--format", "json")
    assert repaired.exit_code == 0, repaired.stdout + repaired.stderr
    found = json.loads(repaired.stdout)["findings"]
    assert {(each["entity"], each["entity_id"]) for each in found} == {("invoice", 1), ("assignment", gone)}
    deployment.await_caught_up()
    assert not any(ended(consumer) for consumer in consumers), log(consumers[0])
    assert not deployment.disagreement(lines)
    assert deployment.command("backfill", "verify-log").exit_code == 0
    assert deployment.drift_check().exit_code == 0


def _only_in(lines: list[str], others: list[str]) -> int:
    """Find an assignment that the others leave alone: sent again, it would be inserted again, and rightly not found."""
    first, second = ({json.loads(line)["data"].get("assignment_id") for line in part} for part in (lines, others))
    return int(min(first - second - {None}))


def _verified_beside_the_stream(deployment: Deployment) -> list[Result]:
    """Verify until something was applied meanwhile."""
    verified: list[Result] = []

    def beside() -> bool:
        before = deployment.progress()
        verified.append(deployment.command("backfill", "verify-log", "--no-governor", "--format", "json"))
        return deployment.progress() > before

    deployment.wait_until(beside, what="something to be applied meanwhile")
    return verified


@contextmanager
def _flowing(deployment: Deployment, lines: list[str]) -> Iterator[None]:
    """Publish slice after slice for as long as the block lasts, and what is left of the lines after it."""
    enough = Event()
    slices = [lines[start : start + SLICE_LINES] for start in range(0, len(lines), SLICE_LINES)]

    def flow() -> None:
        for number, part in enumerate(cycle(slices)):
            if enough.is_set() and number >= len(slices):
                return
            publish((line.encode() for line in part), deployment.settings, "slice")
            deployment.await_caught_up()

    with ThreadPoolExecutor(1) as pool:
        flowing = pool.submit(flow)
        try:
            yield
        finally:
            enough.set()
            flowing.result()
