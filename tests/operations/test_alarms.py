"""From a fault to whoever is told of it, with the rules and routes that ship: the right alert, no other, its end."""

import signal
import subprocess
from pathlib import Path
from urllib.request import urlopen

from sqlalchemy import text

from tests.operations.alert_chain import DEPLOY, scaled
from tests.operations.watched import TOLD_SECONDS, TRAFFIC, Watched


def test_each_fault_is_told_by_its_own_alert_alone_and_so_is_its_end(watched: Watched) -> None:
    deployment = watched.deployment
    assert deployment.command("events", "simulate", *TRAFFIC, "--publish").exit_code == 0
    services = {job: watched.start(job) for job in watched.targets}
    watched.await_quiet()
    _require_sound_pages(watched)

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


def _require_sound_pages(watched: Watched) -> None:
    """Let Prometheus' own tool read what each program serves."""
    for job, target in watched.targets.items():
        with urlopen(f"http://{target}/metrics", timeout=TOLD_SECONDS) as answer:
            page = answer.read()
        assert b"projector_build_info" in page, job
        done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), job


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
