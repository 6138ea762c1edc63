"""The whole way: simulated, published, consumed, and the same to the cent as an oracle that shares no code."""

from tests.support.deployment import Deployment, shuffled

MONTHS = ("--seed", "1", "--customers", "150", "--months", "3", "--duplicates", "5%", "--shuffle", "10%")


def test_the_balances_are_the_oracles_and_stay_so_when_everything_is_published_twice_more_shuffled(
    deployment: Deployment,
) -> None:
    lines = deployment.simulate(*MONTHS)
    deployment.publish(lines)
    deployment.catch_up()
    assert not deployment.disagreement(lines)
    assert deployment.positions() == deployment.ends()
    check = deployment.drift_check()
    assert check.exit_code == 0, check.stdout + check.stderr

    deployment.publish(shuffled(lines, 1))
    deployment.publish(shuffled(lines, 2), "--mode", "binary")
    deployment.catch_up()
    assert deployment.progress() == 3 * len(lines)
    assert not deployment.disagreement(lines)
    check = deployment.drift_check()
    assert check.exit_code == 0, check.stdout + check.stderr
