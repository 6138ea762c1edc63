"""A consumer that sleeps through the loss of its partitions wakes to find its batch dropped, and goes on."""

import signal
from typing import Final

import psycopg
import pytest

from tests.support.deployment import EAGER, NEXT_GENERATION, Deployment, ended, log, records
from tests.support.programs import Started, pause

SMALL_BATCHES: Final = {"PROJECTOR_BATCH_EVENTS_MAX": "20"}
PROTOCOLS: Final = {"range": EAGER, "consumer": NEXT_GENERATION}
BACKENDS: Final = "SELECT pid, state FROM pg_stat_activity WHERE application_name = 'projector run'"
BLOCKED: Final = "SELECT FROM pg_stat_activity WHERE CAST(:pid AS integer) = ANY (pg_blocking_pids(pid))"
TRAFFIC: Final = ("--seed", "5", "--customers", "100", "--months", "3")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_paused_between_transactions(deployment: Deployment, protocol: str) -> None:
    lines = deployment.simulate(*TRAFFIC)
    environment = PROTOCOLS[protocol] | SMALL_BATCHES
    sleeper = deployment.consumer(environment)
    deployment.publish(lines)
    deployment.await_progress(len(lines) // 4)
    _pause_outside_a_transaction(deployment, sleeper)

    other = deployment.consumer(environment)
    deployment.await_caught_up()
    sleeper.process.send_signal(signal.SIGCONT)
    _both_go_on(deployment, sleeper, other, lines)


def test_paused_inside_a_transaction_that_the_server_then_ends(deployment: Deployment) -> None:
    """The test ends the sleeper's connection where `idle_in_transaction_session_timeout` would, a minute later.

    Only a batch writes invoices. The rows of positions would be waited for as well by a consumer that joins again, as
    one does that was not heard of in time on a busy machine, and that one's statement is no transaction to pause in.
    """
    lines = deployment.simulate(*TRAFFIC)
    deployment.publish(lines[: len(lines) // 2])
    sleeper = deployment.consumer(EAGER | SMALL_BATCHES)
    deployment.await_caught_up()
    with psycopg.connect(deployment.settings.database_url.get_secret_value()) as holder:
        holder.execute("LOCK TABLE billing.invoices IN SHARE MODE")
        deployment.publish(lines[len(lines) // 2 :])
        holds = holder.info.backend_pid
        deployment.wait_until(
            lambda: deployment.sql(BLOCKED, pid=holds), what="a batch, whose positions have moved, to wait"
        )
        pause(sleeper.process)
    deployment.wait_until(lambda: _state(deployment) == "idle in transaction", what="its statement to end")
    [pid] = [pid for pid, state in deployment.sql(BACKENDS) if state == "idle in transaction"]

    other = deployment.start(EAGER | SMALL_BATCHES)
    deployment.wait_until(
        lambda: deployment.sql(BLOCKED, pid=pid) or ended(other), what="the other to wait for the sleeper"
    )
    assert not ended(other), log(other)
    deployment.sql("SELECT pg_terminate_backend(:pid)", pid=pid)
    deployment.await_joined(other)
    deployment.await_caught_up()
    sleeper.process.send_signal(signal.SIGCONT)
    deployment.wait_until(lambda: records(sleeper, "batch dropped, rejoining"), what="the batch to be dropped")
    _both_go_on(deployment, sleeper, other, lines)


def _both_go_on(deployment: Deployment, sleeper: Started, other: Started, lines: list[str]) -> None:
    """See that the state is right, that the sleeper joins again, and that it applies what comes once it is alone."""
    deployment.await_joined(sleeper, times=2)
    assert not deployment.disagreement(lines)

    other.process.terminate()
    assert other.process.wait(120) == 0
    batches = len(records(sleeper, "batch"))
    deployment.publish(lines)
    deployment.await_caught_up()
    assert len(records(sleeper, "batch")) > batches
    assert not deployment.disagreement(lines)


def _pause_outside_a_transaction(deployment: Deployment, sleeper: Started) -> None:
    def paused() -> bool:
        pause(sleeper.process)
        if _state(deployment) == "idle":
            return True
        sleeper.process.send_signal(signal.SIGCONT)
        return False

    deployment.wait_until(paused, what="a moment between two transactions")


def _state(deployment: Deployment) -> str:
    """Say what the only consumer's writing connection does; its others are idle in the pool."""
    states = {state for _, state in deployment.sql(BACKENDS)}
    return next((state for state in ("active", "idle in transaction") if state in states), "idle")
