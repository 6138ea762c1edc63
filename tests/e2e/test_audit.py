"""Checks and rebuilds beside running consumers: never a false finding, every true one found and mended."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from threading import Event
from typing import Any, Final

from events.publish import publish
from tests.conftest import Result
from tests.support.deployment import EAGER, Deployment, ended, log
from tests.support.oracle import differences, drifted, recomputed
from tests.support.recorded import read_projection

BATCHES: Final = {"PROJECTOR_BATCH_EVENTS_MAX": "50"}
CHUNKS: Final = ("--chunk-size", "10")
TRAFFIC: Final = ("--seed", "11", "--customers", "100", "--months", "3", "--shuffle", "10%")
SLICE_LINES: Final = 200


def test_checks_and_rebuilds_under_load_find_nothing_that_is_not_there(deployment: Deployment) -> None:
    lines = deployment.simulate(*TRAFFIC)
    consumers = [deployment.consumer(EAGER | BATCHES) for _ in range(2)]
    audits: list[Result] = []
    with _flowing(deployment, lines):
        deployment.await_progress(1)
        for command in ("drift-check", "rebuild") * 2:
            audits += _audited_beside_the_stream(deployment, command)
    for audit in audits:
        assert audit.exit_code == 0, audit.stdout + audit.stderr
    assert deployment.sql("SELECT * FROM drift") == []
    deployment.await_caught_up()
    assert not any(ended(consumer) for consumer in consumers), log(consumers[0])
    assert not deployment.disagreement(lines)


def test_edits_by_hand_are_found_exactly_and_mended_while_events_flow(deployment: Deployment) -> None:
    lines = deployment.simulate(*TRAFFIC)
    half = len(lines) // 2
    deployment.publish(lines[:half])
    consumer = deployment.consumer(EAGER | BATCHES)
    deployment.await_caught_up()
    _edit(deployment)
    wrong = _wrong(deployment)

    found = deployment.drift_check(*CHUNKS, "--format", "json")
    assert found.exit_code == 1, found.stderr
    assert _found(found) == wrong
    assert {f["cause"] for f in json.loads(found.stdout)["findings"]} >= {"projection-edited", "history-deleted"}

    with _flowing(deployment, lines[half:]):
        rebuilt = deployment.command("backfill", "rebuild", *CHUNKS, "--format", "json")
    assert rebuilt.exit_code == 0, rebuilt.stdout + rebuilt.stderr
    deployment.await_caught_up()
    assert not ended(consumer), log(consumer)
    after = deployment.drift_check(*CHUNKS)
    assert after.exit_code == 0, rebuilt.stdout + after.stdout
    with deployment.engine.connect() as connection:
        recorded = read_projection(connection)
    assert not differences(recomputed(recorded), recorded)

    deployment.publish(lines)  # puts history right as well
    deployment.await_caught_up()
    assert not deployment.disagreement(lines)


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


def _audited_beside_the_stream(deployment: Deployment, command: str) -> list[Result]:
    """Audit until something was applied meanwhile: consumers that are still dividing the topics let one pass alone."""
    audits: list[Result] = []

    def beside() -> bool:
        before = deployment.progress()
        audits.append(deployment.command("backfill", command, *CHUNKS, "--format", "json"))
        return deployment.progress() > before

    deployment.wait_until(beside, what="something to be applied during an audit")
    return audits


def _edit(deployment: Deployment) -> None:
    """Put wrong, by hand: a meter's total, a meter's owner, a customer's sum, and rows of both kinds that are gone."""
    meter, customer = ("meter_balances", "meter_id"), ("customer_balances", "customer_id")
    edits = (
        ("UPDATE meter_balances SET total_billed = total_billed + 1000 WHERE meter_id = {one}", meter),
        ("UPDATE meter_balances SET customer_id = NULL WHERE meter_id = {one}", meter),
        ("DELETE FROM meter_balances WHERE meter_id = {one}", meter),
        ("UPDATE customer_balances SET balance = balance + 0.01 WHERE customer_id = {one}", customer),
        ("DELETE FROM invoices WHERE invoice_id = {one}", ("invoices", "invoice_id")),
        ("UPDATE payments SET amount = amount + 1, event_id = '' WHERE payment_id = {one}", ("payments", "payment_id")),
    )
    for number, (statement, (table, key)) in enumerate(edits):
        one = f"(SELECT {key} FROM {table} ORDER BY {key} OFFSET {15 * number} LIMIT 1)"
        deployment.sql(statement.format(one=one))


def _wrong(deployment: Deployment) -> set[tuple[str, int, str]]:
    with deployment.engine.connect() as connection:
        recorded = read_projection(connection)
    return drifted(recomputed(recorded), recorded)


def _found(result: Result) -> set[tuple[str, int, str]]:
    findings: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return {(finding["entity"], finding["entity_id"], finding["column"]) for finding in findings}
