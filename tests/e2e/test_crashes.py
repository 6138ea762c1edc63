"""A consumer that is killed anywhere loses nothing and counts nothing twice."""

import random
from typing import Final

from tests.support.deployment import EAGER, Deployment, ended, log

KILLS: Final = 6
SMALL_BATCHES: Final = {
    "PROJECTOR_BATCH_EVENTS_MAX": "20",
    "PROJECTOR_KAFKA__SESSION_TIMEOUT_MS": "1000",
    "PROJECTOR_KAFKA__HEARTBEAT_INTERVAL_MS": "300",
}
"""Some hundred transactions to be killed in or between, and a group that soon forgets the dead."""


def test_killed_at_random_moments_and_restarted_the_state_is_the_oracles(deployment: Deployment) -> None:
    lines = deployment.simulate("--seed", "2", "--customers", "120", "--months", "3", "--duplicates", "5%")
    deployment.publish(lines)
    moments = sorted(random.Random(7).sample(range(len(lines)), KILLS))
    for moment in moments:
        consumer = deployment.consumer(EAGER | SMALL_BATCHES)
        deployment.await_progress(moment)
        assert not ended(consumer), log(consumer)
        consumer.process.kill()
        consumer.process.wait()
    deployment.catch_up(EAGER | SMALL_BATCHES)
    assert deployment.positions() == deployment.ends()
    assert not deployment.disagreement(lines)
    assert deployment.drift_check().exit_code == 0
