"""A deployment with its services, and Prometheus and Alertmanager beside them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from projector.sandbox.ports import free_port
from tests.support.deployment import QUICK, Deployment
from tests.support.programs import Started

if TYPE_CHECKING:
    from tests.operations.alert_chain import Chain

TOLD_SECONDS: Final = 600.0  # a bound for the slowest machine; on a quiet one it takes half a minute
TRAFFIC: Final = ("--seed", "5", "--customers", "30", "--months", "2")
COMMANDS: Final = {
    "consumer": ("projector", "run"),
    "checker": ("backfill", "drift-check", "--every", "20s"),
    "exporter": ("projector", "metrics", "--listen"),
}


class Watched:
    """A deployment with its three services, and the chain beside them."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.targets = {job: f"127.0.0.1:{free_port()}" for job in ("consumer", "checker", "exporter")}
        self.chain: Chain

    def start(self, job: str, *options: str) -> Started:
        """Start a service where Prometheus looks for it."""
        env = self.deployment.environment | QUICK | {"PROJECTOR_METRICS_ADDRESS": self.targets[job]}
        return self.deployment.start_command(*COMMANDS[job], *options, env=env)

    def await_quiet(self) -> None:
        """Wait until every service is measured and nothing is raised, nor about to be."""

        def quiet() -> bool:
            up = {each["metric"]["job"] for each in self.chain.query("up == 1")}
            verified = self.chain.query("projector_verified_through_timestamp_seconds > 0")
            return up == self.targets.keys() and bool(verified) and not self.chain.raised()

        self.deployment.wait_until(quiet, what="every service to be measured and no alert", timeout=TOLD_SECONDS)

    @contextmanager
    def told(self, name: str, urgency: str) -> Iterator[Callable[[], None]]:
        """Expect that this alert and no other is told within the block, and its end after it."""
        told = self.chain.receiver.told
        told.clear()
        about, expected = (f"/{urgency}", name), {(f"/{urgency}", name, "firing")}

        def await_alert() -> None:
            self.deployment.wait_until(lambda: told, what=f"{name} to be told", timeout=TOLD_SECONDS)
            assert set(told) == expected

        yield await_alert
        self.deployment.wait_until(
            lambda: any(state == "resolved" for *_, state in told), what=f"the end of {name}", timeout=TOLD_SECONDS
        )
        self.await_quiet()
        assert {(path, alert) for path, alert, _ in told} == {about}
        assert told[-1][-1] == "resolved"
