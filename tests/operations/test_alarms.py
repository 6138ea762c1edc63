"""From a fault to whoever is told of it, with the rules and routes that ship: the right alert, no other, its end."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import text

from projector.sandbox.ports import free_port
from tests.operations.alert_chain import DEPLOY, Chain, chain, scaled
from tests.support.deployment import QUICK, Deployment
from tests.support.programs import Started

TOLD_SECONDS: Final = 600.0  # a bound for the slowest machine; on a quiet one it takes half a minute
TRAFFIC: Final = ("--seed", "5", "--customers", "30", "--months", "2")


class Watched:
    """A deployment with its three services, and the chain beside them."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.targets = {job: f"127.0.0.1:{free_port()}" for job in ("consumer", "checker", "exporter")}
        self.chain: Chain

    def start(self, job: str) -> Started:
        """Start a service where Prometheus looks for it."""
        command = {
            "consumer": ("projector", "run"),
            "checker": ("backfill", "drift-check", "--every", "20s"),
            "exporter": ("projector", "metrics", "--listen"),
        }[job]
        env = self.deployment.environment | QUICK | {"PROJECTOR_METRICS_ADDRESS": self.targets[job]}
        return self.deployment.start_command(*command, env=env)

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


@pytest.fixture
def watched(deployment: Deployment, tmp_path: Path) -> Iterator[Watched]:
    made = Watched(deployment)
    assert deployment.command("events", "simulate", *TRAFFIC, "--publish").exit_code == 0
    with chain(tmp_path, made.targets) as made.chain:
        yield made


def test_each_fault_is_told_by_its_own_alert_alone_and_so_is_its_end(watched: Watched) -> None:
    deployment = watched.deployment
    services = {job: watched.start(job) for job in watched.targets}
    watched.await_quiet()

    with watched.told("ProjectorNoConsumer", "page") as await_alert:
        services["consumer"].process.kill()
        await_alert()
        watched.start("consumer")

    with watched.told("ProjectorPartitionStalled", "page") as await_alert, deployment.engine.connect() as holder:
        holder.execute(text("SELECT 1 FROM positions FOR UPDATE"))
        assert deployment.command("events", "simulate", *TRAFFIC, "--publish").exit_code == 0
        await_alert()
        holder.rollback()

    with watched.told("ProjectorDrift", "page") as await_alert:
        with deployment.engine.begin() as editor:
            editor.execute(text("UPDATE meter_balances SET total_billed = total_billed + 1000 WHERE meter_id = 11"))
        await_alert()
        assert deployment.command("backfill", "rebuild").exit_code == 0

    with watched.told("ProjectorCheckOverdue", "ticket") as await_alert:
        services["checker"].process.send_signal(signal.SIGTERM)
        await_alert()
        watched.start("checker")


def test_prometheus_and_alertmanager_accept_what_ships(tmp_path: Path) -> None:
    for command in (
        ["promtool", "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")],
        ["amtool", "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "SUCCESS" in done.stdout + done.stderr


def test_only_times_are_divided() -> None:
    rule = {"expr": "max(age) > 300 and changes(at[5m:15s]) == 0 and sum(open) > 10", "for": "2m", "summary": "5m"}
    assert scaled(rule) == {
        "expr": "max(age) > 15 and changes(at[15000ms:750ms]) == 0 and sum(open) > 10",
        "for": "6000ms",
        "summary": "5m",
    }
