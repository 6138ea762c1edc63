"""A log that is not the one that was read stops the consumer, at its start and at work, before any of it counts."""

import json
import signal
from collections.abc import Sequence
from typing import Final

import pytest

from events.simulate.render import Sent
from projector.sandbox.processes import wait_until
from tests.faults.fault_run import FaultRun
from tests.faults.log_faults import problems, recover
from tests.faults.program import Program
from tests.faults.run_faults import judge, settle

SECONDS: Final = 180.0


@pytest.mark.parametrize("at_work", [False, True], ids=["at start", "at work"])
def test_a_log_that_was_cut_and_has_grown_again_stops_the_consumer(fault_run: FaultRun, *, at_work: bool) -> None:
    """Restored from a copy, the broker gives the same leader epochs again: only the last message tells."""
    [consumer] = fault_run.consumers
    messages = fault_run.messages()
    third = len(messages) // 3
    before, lost, after = messages[:third], messages[third : third + 20], messages[third + 20 :]
    consumer.run()
    _send(fault_run, before)
    fault_run.servers.copy_logs()
    _send(fault_run, lost)
    positions = fault_run.positions()
    if not at_work:
        consumer.send(signal.SIGTERM)
        assert wait_until(lambda: consumer.exit_code == 0, seconds=SECONDS)
    fault_run.servers.kafka_proxy.away()  # until the log has grown beyond the position: else its end tells
    fault_run.servers.restore_logs()
    fault_run.reconnect()
    _publish(fault_run, [*after, *lost])
    fault_run.servers.kafka_proxy.back()
    if not at_work:
        consumer.run()
    _await_stop(consumer)
    assert fault_run.positions() == positions
    assert "projector positions set" in _last_line(consumer)
    assert len(problems(fault_run)) >= 1
    recover(fault_run)
    fault_run.auditor.run()
    settle(fault_run)
    judge(fault_run)


def test_a_broker_that_comes_back_with_its_log_is_read_on_from_where_it_was(fault_run: FaultRun) -> None:
    """Each loss of the connection is followed by a proof, and then by what comes next."""
    [consumer] = fault_run.consumers
    messages = fault_run.messages()
    half = len(messages) // 2
    consumer.run()
    _send(fault_run, messages[:half])
    fault_run.servers.kafka_proxy.reset()
    _publish(fault_run, messages[half:])
    fault_run.servers.kafka.stop()
    fault_run.servers.kafka.start()
    fault_run.auditor.run()
    settle(fault_run)
    judge(fault_run)
    told = [json.loads(line)["event"] for line in _log(consumer).split("\n") if line.startswith("{")]
    assert any("broker connection lost" in event for event in told)


def _send(fault_run: FaultRun, messages: Sequence[tuple[Sent, bool]]) -> None:
    _publish(fault_run, messages)
    applied = wait_until(lambda: fault_run.positions() == fault_run.ends(), seconds=SECONDS)
    assert applied, _log(fault_run.consumers[0])[-3000:]


def _publish(fault_run: FaultRun, messages: Sequence[tuple[Sent, bool]]) -> None:
    fault_run.send(messages)
    fault_run.delivered()


def _await_stop(consumer: Program) -> None:
    assert wait_until(lambda: consumer.exit_code is not None, seconds=SECONDS), _log(consumer)[-3000:]
    assert consumer.exit_code == 1, _log(consumer)[-3000:]


def _last_line(program: Program) -> str:
    return _log(program).strip().split("\n")[-1]


def _log(program: Program) -> str:
    assert program.started is not None
    return program.started.stderr.read_text()
