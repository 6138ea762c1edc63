"""Whole deployments with dates ahead: a begin and an end take effect on their dates, though no message arrives then."""

import json
import signal
from typing import Final

import psycopg

from tests.support.deployment import EAGER, QUICK, Deployment, log, wait_for_exit
from tests.support.examples import CloudEvent, assigned, customer, invoice
from tests.support.merge_harness import day

SOON_DAYS: Final = 4 / 86_400  # 4 seconds: usually after what is published is applied
WAITS: Final = """
SELECT FROM pg_stat_activity WHERE application_name = 'projector run' AND %s = ANY (pg_blocking_pids(pid))
"""
IN_PROGRESS: Final = "SELECT FROM pg_stat_activity WHERE application_name = 'projector run' AND state <> 'idle'"
METERS: Final = (1, 2, 3, 4)
LONG_AGO: Final = day(-99)
BILLED: Final = [
    customer(7, "Achieng"),
    customer(8, "Otieno"),
    *(assigned(meter, meter, 7, assigned_at=LONG_AGO) for meter in METERS),
    *(invoice(meter, meter, "10.00") for meter in METERS),
]


def moves(at: str, version: int = 2) -> list[CloudEvent]:
    """Write that two meters change hands at a moment, and that a third has nobody from then on."""
    ended = {"version": version, "assigned_at": LONG_AGO, "unassigned_at": at}
    return [
        *(assigned(meter, meter, 7, "unassigned", **ended) for meter in (1, 2, 3)),
        *(assigned(10 + meter, meter, 8, version=version, assigned_at=at) for meter in (1, 2)),
    ]


def lines(events: list[CloudEvent]) -> list[str]:
    """Write events as `events publish` reads them."""
    return [json.dumps(event) for event in events]


def customers(deployment: Deployment) -> dict[int, int]:
    """Read how many meters each customer has."""
    rows = deployment.sql("SELECT customer_id, active_meters FROM customer_balances WHERE active_meters > 0")
    return {row.customer_id: row.active_meters for row in rows}


def test_a_move_ahead_takes_effect_while_consumers_are_idle_and_checks_agree_before_and_after(
    deployment: Deployment,
) -> None:
    """Two consumers wait for it. Its date was amended, from one that would have kept it out of this test."""
    for _ in range(2):
        deployment.consumer(EAGER)
    far = BILLED + moves(day(1))
    deployment.publish(lines(far))
    deployment.await_caught_up()
    assert customers(deployment) == {7: 4}
    assert not deployment.disagreement(lines(far))
    assert deployment.drift_check().exit_code == 0
    amended = moves(day(SOON_DAYS), version=3)
    deployment.publish(lines(amended))
    deployment.await_caught_up()
    deployment.wait_until(lambda: customers(deployment) == {7: 1, 8: 2}, what="the move to take effect")
    assert not deployment.disagreement(lines(far + amended))
    assert deployment.drift_check().exit_code == 0


def test_one_that_catches_up_leaves_nothing_due(deployment: Deployment) -> None:
    """Its dates are behind now, and ahead of the clock, which stood still while no consumer ran."""
    deployment.sql("UPDATE assignment_clock SET through = now() - interval '5 days'")
    events = lines(BILLED + moves(day(-1)))
    deployment.publish(events)
    deployment.catch_up(EAGER)
    assert customers(deployment) == {7: 1, 8: 2}
    assert not deployment.disagreement(events)
    assert deployment.drift_check().exit_code == 0


def test_a_consumer_killed_while_it_moves_the_clock_leaves_it_where_it_was(deployment: Deployment) -> None:
    deployment.publish(lines(BILLED + moves(day(1))))
    deployment.catch_up(EAGER)
    deployment.sql("UPDATE meter_assignments SET unassigned_at = now() WHERE unassigned_at IS NOT NULL")
    deployment.sql("UPDATE meter_assignments SET assigned_at = now() WHERE assignment_id > 10")
    [(before,)] = deployment.sql("SELECT through FROM assignment_clock")
    url = deployment.settings.database_url.get_secret_value()
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as watcher:
        holder.execute("LOCK TABLE billing.meter_balances IN SHARE MODE")
        consumer = deployment.start(EAGER | QUICK)
        asked = [holder.info.backend_pid]
        deployment.wait_until(lambda: watcher.execute(WAITS, asked).fetchall(), what="the move to wait for a meter")
        consumer.process.send_signal(signal.SIGKILL)
        consumer.process.wait()
    deployment.wait_until(lambda: not deployment.sql(IN_PROGRESS), what="the dead one's transaction to end")
    assert deployment.sql("SELECT through FROM assignment_clock") == [(before,)]
    assert customers(deployment) == {7: 4}

    second = deployment.start(EAGER | QUICK)
    deployment.wait_until(lambda: customers(deployment) == {7: 1, 8: 2}, what="the next consumer to move the clock")
    second.process.send_signal(signal.SIGTERM)
    assert wait_for_exit(second) == 0, log(second)
    assert deployment.drift_check().exit_code == 0
