"""A broker that is away: one line from each command, and `events publish` says how far it came."""

import fcntl
import json
import os
import re
import sys
import termios
from io import FileIO
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import KafkaException

from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.faults.fault_run import FaultRun
from tests.support import examples

LINES_MAX: Final = 20  # librdkafka would write ten a second


@pytest.mark.parametrize(
    "command", ["events publish /dev/null", "projector init", "projector status", "backfill verify-log"]
)
def test_a_broker_that_is_away_is_one_line(fault_run: FaultRun, run_command: RunCommand, command: str) -> None:
    fault_run.servers.kafka_proxy.away()
    result = run_command(*command.split(), env=fault_run.environment(fault_run.consumers[0].proxy))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert f"Kafka at 127.0.0.1:{fault_run.servers.kafka_proxy.port} cannot be reached" in result.stderr


def test_publishing_that_breaks_off_says_what_was_delivered_and_goes_on_from_there(
    fault_run: FaultRun,
    run_command: RunCommand,
    start_command: StartCommand,
    wait_until: WaitUntil,
    tmp_path: Path,
) -> None:
    lines = [examples.line(examples.customer(key, "Amina")) + b"\n" for key in range(1, 101)]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    env = fault_run.environment(fault_run.consumers[0].proxy)
    publishing = start_command("events", "publish", str(pipe), env=env)
    with open(os.open(pipe, os.O_RDWR), "wb", buffering=0) as writing:  # noqa: PTH123 - opened both ways, it waits for nobody
        writing.write(b"".join(lines[:50]))
        wait_until(lambda: _delivered(fault_run) == 50, what="the first half to be delivered")
        fault_run.servers.kafka_proxy.away()
        writing.write(b"".join(lines[50:]))
        wait_until(lambda: _unread(writing) == 0, what="the second half to be read")
    wait_until(lambda: publishing.process.poll() is not None, what="the end")

    *tries, last = publishing.stderr.read_text().splitlines()
    assert publishing.process.returncode == 2
    assert tries
    assert len(tries) <= LINES_MAX
    for one in map(json.loads, tries):
        assert one["event"] == "retrying"
        assert one["reason"].startswith(f"Kafka at 127.0.0.1:{fault_run.servers.kafka_proxy.port} cannot be reached: ")
        assert one["wait_seconds"] > 0
    said = re.search(r"; (\d+) of 100 messages were delivered: continue with --from-line (\d+)$", last)
    assert said, last
    assert int(said[1]) <= 50
    assert int(said[2]) <= 51

    fault_run.servers.kafka_proxy.back()
    whole = tmp_path / "lines.jsonl"
    whole.write_bytes(b"".join(lines))
    result = run_command("events", "publish", str(whole), "--from-line", said[2], "--format", "json", env=env)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["published"] == 101 - int(said[2])
    assert _delivered(fault_run) >= 100


def _delivered(fault_run: FaultRun) -> int:
    """Count the messages in the log; none while a broker has yet to hear of a topic that was created."""
    try:
        return sum(fault_run.ends().values())
    except KafkaException:
        return 0


def _unread(pipe: FileIO) -> int:
    """Count the bytes that a pipe still holds."""
    return int.from_bytes(fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)
