"""Consumers of one group share the partitions under every protocol, and one's end is the others' work."""

import pytest

from tests.support.deployment import COOPERATIVE, EAGER, NEXT_GENERATION, Deployment, ended, log, records
from tests.support.programs import Started

SMALL_BATCHES = {"PROJECTOR_BATCH_EVENTS_MAX": "20"}
PROTOCOLS = {"range": EAGER, "cooperative-sticky": COOPERATIVE, "consumer": NEXT_GENERATION}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_consumers_share_and_one_is_killed_midway(deployment: Deployment, protocol: str) -> None:
    environment = PROTOCOLS[protocol] | SMALL_BATCHES
    pair = [deployment.consumer(environment) for _ in range(2)]
    deployment.wait_until(lambda: all(share(each) for each in pair), what="both to be given partitions")

    lines = deployment.simulate("--seed", "3", "--customers", "100", "--months", "3", "--shuffle", "20%")
    deployment.publish(lines)
    deployment.wait_until(lambda: all(records(each, "batch") for each in pair), what="both to have applied a batch")
    pair[0].process.kill()
    deployment.await_caught_up()

    assert not ended(pair[1]), log(pair[1])
    assert not deployment.disagreement(lines)


def test_until_caught_up_waits_for_partitions_that_a_dead_member_still_holds(deployment: Deployment) -> None:
    lines = deployment.simulate("--seed", "4", "--customers", "30", "--months", "2")
    killed = deployment.consumer(NEXT_GENERATION)
    killed.process.kill()
    deployment.publish(lines)
    deployment.catch_up(NEXT_GENERATION)
    assert deployment.positions() == deployment.ends()
    assert not deployment.disagreement(lines)


@pytest.mark.parametrize("protocol", ["cooperative-sticky", "consumer"])
def test_until_caught_up_beside_a_slower_consumer_ends_when_all_is_applied(
    deployment: Deployment, protocol: str
) -> None:
    lines = deployment.simulate("--seed", "4", "--customers", "40", "--months", "2")
    deployment.consumer(PROTOCOLS[protocol] | {"PROJECTOR_BATCH_EVENTS_MAX": "1"})
    deployment.publish(lines)
    deployment.catch_up(PROTOCOLS[protocol])
    assert deployment.positions() == deployment.ends()
    assert not deployment.disagreement(lines)


def share(started: Started) -> int:
    """Count the partitions that a consumer was last given."""
    given = records(started, "joined")
    return int(given[-1]["partitions"]) if given else 0
