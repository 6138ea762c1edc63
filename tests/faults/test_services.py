"""A service that is away, at start or later: waited for without haste, one line a try, and found again in seconds."""

import json
import signal
import time
from collections.abc import Callable
from typing import Any, Final

import psutil
import pytest
from sqlalchemy import make_url

from projector.consume.retry import WAIT_MAX_SECONDS
from projector.sandbox.processes import wait_until
from tests.conftest import RunCommand
from tests.faults.fault_run import FaultRun
from tests.faults.program import Program
from tests.faults.proxy import Proxy

SERVICES: Final = ("PostgreSQL", "Kafka")
OUTAGE_SECONDS: Final = 8.0
CPU_SHARE_MAX: Final = 0.1  # of a core: a loop that spins takes all of one
RETURN_SECONDS: Final = 2 * WAIT_MAX_SECONDS + 110  # the longest wait, a session of the group, and a slow machine
AT_ONCE_SECONDS: Final = 30.0  # on a busy machine, where the wait itself has no end
LINES_MAX: Final = 20  # librdkafka would write ten a second
BUDGET_SECONDS: Final = 5  # of a drain, as a fault run sets it
UNMEASURED: Final = {"PROJECTOR_METRICS_ADDRESS": ""}  # where they are served is a line of its own
WRONG: Final = "wr0ng"


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_away_at_start_it_is_waited_for(fault_run: FaultRun, service: str, run_command: RunCommand) -> None:
    [consumer] = fault_run.consumers
    _proxy(fault_run, service).away()
    consumer.run()
    _await(lambda: len(_tries(consumer)) > 1, f"two tries to find {service}")
    assert all(service in one["reason"] for one in _tries(consumer))
    assert not _ready(fault_run, run_command)
    assert consumer.exit_code is None

    _proxy(fault_run, service).back()
    _found_again(fault_run, run_command)


def test_away_later_it_is_waited_for_in_peace(fault_run: FaultRun, service: str, run_command: RunCommand) -> None:
    [consumer] = fault_run.consumers
    consumer.run()
    messages = fault_run.messages()
    fault_run.send(messages[:50])
    fault_run.delivered()
    _await(lambda: fault_run.applied() == 50, "the first to be applied")
    _proxy(fault_run, service).away()
    fault_run.send(messages[50:])

    assert _cpu_seconds(consumer, OUTAGE_SECONDS) < CPU_SHARE_MAX * OUTAGE_SECONDS
    assert consumer.exit_code is None
    assert fault_run.applied() == 50
    assert not _ready(fault_run, run_command)
    if service == "PostgreSQL":
        tries = [one for one in _tries(consumer) if one["reason"].startswith("PostgreSQL at 127.0.0.1")]
        assert OUTAGE_SECONDS / WAIT_MAX_SECONDS - 1 <= len(tries) <= 20
    else:
        _await(lambda: len(_tries(consumer)) > 1, "two tries")
        where = f"Kafka at 127.0.0.1:{fault_run.servers.kafka_proxy.port}"
        assert all(one["reason"].startswith(where) and one["wait_seconds"] for one in _tries(consumer))
        assert len(_records(consumer)) == _log(consumer).count("\n"), "a line that is not ours"
        assert len([one for one in _records(consumer) if one["level"] != "info"]) <= LINES_MAX

    _proxy(fault_run, service).back()
    _found_again(fault_run, run_command)


def test_a_signal_ends_the_wait_at_once(fault_run: FaultRun, service: str) -> None:
    [consumer] = fault_run.consumers
    _proxy(fault_run, service).away()
    consumer.run()
    _await(lambda: _tries(consumer), f"a try to find {service}")
    consumer.send(signal.SIGTERM)
    _await(lambda: consumer.exit_code is not None, "the end", seconds=AT_ONCE_SECONDS)
    assert consumer.exit_code == 0, _log(consumer)
    assert "Traceback" not in _log(consumer)


@pytest.mark.parametrize("mode", ["away", "hang"])
def test_a_drain_without_a_service_keeps_to_its_budget(fault_run: FaultRun, service: str, mode: str) -> None:
    """What was not applied is read again; a connection that hangs is given up."""
    [consumer] = fault_run.consumers
    consumer.run()
    messages = fault_run.messages()
    fault_run.send(messages[:50])
    fault_run.delivered()
    _await(lambda: fault_run.applied() == 50, "the first to be applied")
    getattr(_proxy(fault_run, service), mode)()
    fault_run.send(messages[50:])
    fault_run.delivered()
    consumer.send(signal.SIGTERM)
    _await(lambda: consumer.exit_code is not None, "the end", seconds=BUDGET_SECONDS + 15)
    assert consumer.exit_code == 0, _log(consumer)
    assert "Traceback" not in _log(consumer)

    _proxy(fault_run, service).back()
    consumer.run()
    _await(lambda: fault_run.positions() == fault_run.ends(), "the next to apply the rest")


def test_who_does_not_wait_ends_with_2_and_one_line(fault_run: FaultRun, run_command: RunCommand) -> None:
    [consumer] = fault_run.consumers
    consumer.proxy.away()
    for command in (("projector", "run", "--until-caught-up"), ("projector", "init"), ("backfill", "drift-check")):
        result = run_command(*command, env=fault_run.environment(consumer.proxy) | UNMEASURED)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "PostgreSQL at 127.0.0.1" in result.stderr


def test_what_waiting_does_not_mend_ends_a_consumer_at_once(fault_run: FaultRun, run_command: RunCommand) -> None:
    env = fault_run.environment(fault_run.consumers[0].proxy) | UNMEASURED
    url = make_url(env["PROJECTOR_DATABASE_URL"])
    for changed, said in (
        ({"PROJECTOR_DATABASE_URL": url.set(password=WRONG).render_as_string(hide_password=False)}, "authentication"),
        ({"PROJECTOR_DATABASE_URL": url.set(database="no").render_as_string(hide_password=False)}, "does not exist"),
        ({"PROJECTOR_SCHEMA": "other"}, "projector init"),
        ({"PROJECTOR_TOPIC_PREFIX": "other"}, "projector deployment set topic-prefix"),
    ):
        result = run_command("projector", "run", env={**env, **changed})
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
        assert said in result.stderr
        assert WRONG not in result.stderr


def _proxy(fault_run: FaultRun, service: str) -> Proxy:
    return fault_run.consumers[0].proxy if service == "PostgreSQL" else fault_run.servers.kafka_proxy


def _found_again(fault_run: FaultRun, run_command: RunCommand) -> None:
    """See a consumer go on by itself, and status say so."""
    [consumer] = fault_run.consumers
    _await(lambda: fault_run.positions() == fault_run.ends(), "all to be applied", seconds=RETURN_SECONDS)
    _await(lambda: any(one["event"] == "joined" for one in _records(consumer)), "the consumer to have joined")
    assert consumer.exit_code is None
    assert len(consumer.logs) == 1
    assert _ready(fault_run, run_command)
    password = make_url(fault_run.servers.postgres.url).password
    assert password
    assert password not in _log(consumer)


def _ready(fault_run: FaultRun, run_command: RunCommand) -> bool:
    """Ask as a health check does."""
    result = run_command("projector", "status", "--json", env=fault_run.environment(fault_run.consumers[0].proxy))
    assert result.exit_code in {0, 2}, result.stderr
    return result.exit_code == 0


def _cpu_seconds(program: Program, seconds: float) -> float:
    """Watch a program for so long; return the processor time that it took."""
    assert program.started is not None
    process = psutil.Process(program.started.process.pid)
    before, end = process.cpu_times(), time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end or program.exit_code is not None, seconds=seconds + 1)
    after = process.cpu_times()
    return float(after.user + after.system - before.user - before.system)


def _tries(program: Program) -> list[dict[str, Any]]:
    return [one for one in _records(program) if one["event"] == "retrying"]


def _records(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _log(program).split("\n")[:-1] if line.startswith("{")]


def _log(program: Program) -> str:
    assert program.started is not None
    return program.started.stderr.read_text()


def _await(condition: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    assert wait_until(lambda: bool(condition()), seconds=seconds), f"after {seconds:g} s still waiting for {what}"
