"""A hand that edits balances, owners and marks beside assignment traffic, and a rebuild that says that all is repaired.

What was edited before a rebuild began has to be right once it ends with 0, whatever consumers did to those meters
meanwhile; what is edited while it runs is the next one's.
"""

import json
import random
import signal
from itertools import islice
from typing import Final

import psycopg

from events.simulate.render import Sent
from projector.sandbox.processes import wait_until
from tests.faults.fault_run import FaultRun
from tests.support.programs import Started
from tests.support.rewriting import rewritten

EDITS: Final = {
    "edit totals": (
        ("meter_balances", "meter_id", "total_billed = total_billed + 100 + meter_id"),
        ("meter_balances", "meter_id", "invoice_count = invoice_count + 1"),
        ("customer_balances", "customer_id", "balance = balance + 1, active_meters = active_meters + 1"),
    ),
    "edit owners": (
        ("meter_balances", "meter_id", "customer_id = NULL"),
        ("meter_balances", "meter_id", "customer_id = 1 + mod(meter_id, 7)"),
    ),
    "edit marks": (
        (
            "invoices",
            "meter_id",
            "projected_amount = CASE WHEN projected_meter_id > 0 THEN projected_amount + 7 ELSE 0 END",
        ),
        ("payments", "meter_id", "projected_meter_id = 1 + mod(projected_meter_id, 9)"),
    ),
}
"""Of each kind: a table, the column that says whether a row is hit, and what is set there."""
ONE_IN: Final = 3
MOVES: Final = 30  # sent at once
AHEAD: Final = 60  # messages that may wait for the consumers
SLICE_SECONDS: Final = 5.0
REBUILDS: Final = 3  # tries at one that nothing disturbs


def edit(run: FaultRun, kind: str) -> None:
    """Edit what this kind edits in every third meter or customer, row by row as a hand does."""
    rest = run.edits % ONE_IN
    run.edits += 1
    with psycopg.connect(run.servers.url(run.database), autocommit=True, connect_timeout=2) as hand:
        for table, column, change in EDITS[kind]:
            hit = f"SELECT ctid FROM billing.{table} WHERE {column} % {ONE_IN} = {rest}"
            for (place,) in hand.execute(hit.encode()).fetchall():
                hand.execute(f"UPDATE billing.{table} SET {change} WHERE ctid = %s".encode(), [place])


def hand_over(run: FaultRun) -> None:
    """Send some amended assignments, once there are any."""
    if not any(sent.entity == "assignments" for sent in run.sound):
        return
    if run.rewriting is None:
        run.rewriting = rewritten((sent.line for sent in run.sound), random.Random(run.plan.seed))
    run.send([(_sent(event), True) for event in islice(run.rewriting, MOVES)])


def rebuild_beside(run: FaultRun) -> None:
    """Edit once more, and rebuild beside assignment traffic until a rebuild has ended by itself: it has to say 0."""
    run.auditor.send(signal.SIGKILL)
    for kind in EDITS:
        edit(run, kind)
    for _ in range(REBUILDS):
        rebuilt = run.begin("backfill", "rebuild", "--chunk-size", str(run.plan.chunk_size), "--no-governor")
        while rebuilt.process.poll() is None:
            hand_over(run)
            behind = len(run.sound) + len(run.poison) - AHEAD
            wait_until(lambda: rebuilt.process.poll() is not None or run.applied() >= behind, seconds=SLICE_SECONDS)  # noqa: B023
        if rebuilt.process.poll() != 2:  # a service that has only just come back
            break
    assert rebuilt.process.poll() == 0, _said(rebuilt)


def _sent(event: dict[str, object]) -> Sent:
    line = json.dumps(event).encode()
    return Sent("assignments", str(json.loads(line)["data"]["meter_id"]).encode(), line)


def _said(started: Started) -> str:
    return started.stdout.read_text() + started.stderr.read_text()
