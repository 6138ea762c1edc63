"""`projector status`: who consumes, whether a group is further behind than allowed, and what is left without Kafka."""

import json
import signal
import socket
from time import monotonic
from typing import Any, Final

import pytest

from events.runtime import kafka
from tests.e2e.test_commands import NOWHERE
from tests.support.deployment import COOPERATIVE, EAGER, NEXT_GENERATION, Deployment, ended, log
from tests.support.machine_load import busy
from tests.support.programs import pause

PROTOCOLS: Final = {"range": EAGER, "cooperative-sticky": COOPERATIVE, "consumer": NEXT_GENERATION}
FEW_SECONDS: Final = 9.0  # on a machine that is not busy, with Python's start; the client waits ten for Kafka
LIMITED: Final = ("--max-age", "1s")


@pytest.mark.parametrize("form", ["table", "json"])
def test_without_kafka_everything_that_postgresql_knows_is_shown(deployment: Deployment, form: str) -> None:
    assert deployment.command("events", "simulate", "--customers", "20", "--poison", "5%", "--publish").exit_code == 0
    deployment.catch_up()
    assert deployment.drift_check().exit_code == 0
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and answers nothing
        for address in (NOWHERE, f"127.0.0.1:{silent.getsockname()[1]}"):
            began = monotonic()
            away = {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": address}
            done = deployment.command("projector", "status", "--format", form, *LIMITED, env=away)
            assert monotonic() - began < FEW_SECONDS * busy()
            assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
            failure = f"Kafka at {address} cannot be reached: "
            assert done.stderr.startswith(f"projector: {failure}")
            _shows_what_postgresql_knows(deployment, done.stdout, form, failure)


def _shows_what_postgresql_knows(deployment: Deployment, shown: str, form: str, failure: str) -> None:
    if form == "table":
        assert failure in shown
        for words in ("Positions of group", "Open dead letters", "Lag: unknown", "no `projector run` has a session"):
            assert words in shown
        assert "finished: no drift" in " ".join(shown.split())
        return
    found = json.loads(shown)
    assert found["kafka_failure"].startswith(failure)
    assert (found["lag"], found["consumers"], found["sessions"], found["exceeded"]) == (None, None, [], [])
    assert {(p["topic"], p["partition"]): p["next_offset"] for p in found["positions"]} == deployment.positions()
    assert found["dead_letters"]
    assert found["last_check"]["state"] == "finished"


def test_a_topic_that_is_missing_hides_nothing_that_postgresql_knows(deployment: Deployment) -> None:
    deployment.publish(deployment.simulate("--customers", "5"))
    deployment.catch_up()
    topic = f"{deployment.settings.topic_prefix}.customers"
    client = kafka.admin(deployment.settings)  # held: its futures never end once it is gone
    client.delete_topics([topic])[topic].result()

    def says_so() -> bool:
        done = deployment.command("projector", "status")
        return done.exit_code == 2 and f"Kafka: topic {topic} does not exist" in done.stdout

    deployment.wait_until(says_so, what="the topic to be gone")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_consumer_is_named_with_what_it_reads(deployment: Deployment, protocol: str) -> None:
    env = PROTOCOLS[protocol]
    assert "Consumers: no consumer is running\n" in deployment.command("projector", "status").stdout
    first = deployment.consumer(env)
    second = deployment.consumer(env | {"PROJECTOR_KAFKA__CLIENT_ID": "the second"})
    deployment.wait_until(lambda: all(c["partitions"] for c in _consumers(deployment, 2)), what="both to be assigned")
    one, other = _consumers(deployment, 2)
    assert one["client_id"] == f"projector-{socket.gethostname()}-{first.process.pid}"
    assert (one["host"], other["client_id"]) == ("127.0.0.1", "the second")
    read = [(each["topic"], each["partition"]) for consumer in (one, other) for each in consumer["partitions"]]
    assert sorted(read) == sorted(deployment.ends())
    shown = deployment.command("projector", "status").stdout
    assert "the second" in shown
    assert "no consumer" not in shown
    for each in (first, second):
        each.process.send_signal(signal.SIGTERM)
        assert each.process.wait(120) == 0, log(each)
    assert "Consumers: no consumer is running\n" in deployment.command("projector", "status").stdout


def test_a_consumer_that_hangs_is_seen_and_one_that_idles_is_healthy(deployment: Deployment) -> None:
    lines = deployment.simulate("--customers", "20")
    consumer = deployment.consumer(EAGER)
    deployment.publish(lines)
    deployment.await_caught_up()
    deployment.sql("UPDATE positions SET updated_at = updated_at - interval '1 hour'")
    idle = deployment.command("projector", "status", *LIMITED, "--max-lag", "0")
    assert (idle.exit_code, ended(consumer)) == (0, False), idle.stdout

    pause(consumer.process)
    deployment.publish(lines)
    deployment.wait_until(
        lambda: deployment.command("projector", "status", *LIMITED).exit_code == 1, what="the wait to be noticed"
    )
    deployment.wait_until(lambda: not _consumers(deployment), what="the group to do without it")
    hung = json.loads(deployment.command("projector", "status", "--json", *LIMITED, "--max-lag", "5").stdout)
    assert len(hung["sessions"]) == 1
    assert f"{len(lines)} messages wait, and 5 may" in hung["exceeded"]
    assert any("messages wait, the first for more than 0:00:01" in limit for limit in hung["exceeded"])
    shown = deployment.command("projector", "status", "--max-lag", "5")
    assert shown.exit_code == 1
    assert "no consumer is running in this group; `projector run` has a session in this database" in shown.stdout
    assert f"Behind: {len(lines)} messages wait, and 5 may" in shown.stdout
    assert deployment.command("projector", "status").exit_code == 0, "without a limit, a status is only shown"

    consumer.process.send_signal(signal.SIGCONT)
    deployment.await_caught_up()
    assert deployment.command("projector", "status", *LIMITED, "--max-lag", "0").exit_code == 0


def test_a_limit_that_is_none_is_refused(deployment: Deployment) -> None:
    for option, value in (("--max-age", "soon"), ("--max-lag", "-1")):
        done = deployment.command("projector", "status", option, value)
        assert (done.exit_code, done.stdout) == (2, ""), done
        assert option in done.stderr


def _consumers(deployment: Deployment, at_least: int = 0) -> list[dict[str, Any]]:
    """Ask until so many are members: one that has joined is not yet counted in a rebalance."""
    found: list[dict[str, Any]] = []

    def asked() -> bool:
        done = deployment.command("projector", "status", "--json")
        assert done.exit_code == 0, done.stderr
        found[:] = json.loads(done.stdout)["consumers"]
        return len(found) >= at_least

    deployment.wait_until(asked, what=f"{at_least} consumers")
    return found
