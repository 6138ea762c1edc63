"""However much waits in Kafka, and while PostgreSQL stands still, a consumer holds no more than its bounds."""

from collections.abc import Callable, Iterable
from typing import Final

import psutil
import psycopg
import pytest

from projector.sandbox.processes import wait_until
from tests.bench.figures import MARKS, megabytes
from tests.bench.memory import Message, large, send, small
from tests.bench.programs import peak_bytes
from tests.conftest import StartCommand
from tests.faults.fault_run import FaultRun

BACKLOGS: Final[dict[str, tuple[str, Callable[[], Iterable[Message]]]]] = {
    "large": ("invoices", lambda: large(160)),
    "small": ("customers", lambda: small(250_000)),
}
"""A table that the first batch waits for, and messages far beyond the mark, if all of them were held."""
BLOCKED: Final = "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
AT_REST_SECONDS: Final = 1.0
REST_CPU_SECONDS: Final = 0.15
SETTLE_SECONDS: Final = 240.0


@pytest.mark.parametrize("kind", BACKLOGS)
def test_a_backlog_is_not_held(fault_run: FaultRun, start_command: StartCommand, kind: str) -> None:
    """The first batch waits for a lock, and meanwhile the consumer reads until it has enough."""
    table, messages = BACKLOGS[kind]
    limit = MARKS[f"memory.{kind}"].limit
    send(fault_run.settings.kafka_bootstrap_servers, fault_run.settings.topic_prefix, messages())
    bounds = {"PROJECTOR_BATCH_EVENTS_MAX": "20000"}
    with psycopg.connect(fault_run.servers.url(fault_run.database)) as holder:
        holder.execute(f"LOCK TABLE billing.{table} IN SHARE MODE".encode())
        env = fault_run.environment(fault_run.consumers[0].proxy) | bounds
        consumer = psutil.Process(start_command("projector", "run", env=env).process.pid)
        ours = holder.info.backend_pid
        assert wait_until(lambda: bool(fault_run.sql(BLOCKED, ours)), seconds=SETTLE_SECONDS), "it applies nothing"
        assert wait_until(lambda: _rests(consumer), seconds=SETTLE_SECONDS), "it reads on and on"
        assert megabytes(peak_bytes(consumer)) < limit
        holder.rollback()
    assert wait_until(lambda: fault_run.positions() == fault_run.ends(), seconds=SETTLE_SECONDS)
    assert megabytes(peak_bytes(consumer)) < limit


def _rests(process: psutil.Process) -> bool:
    """Tell whether a process does next to nothing for a moment."""
    before = _cpu_seconds(process)
    return not wait_until(lambda: _cpu_seconds(process) > before + REST_CPU_SECONDS, seconds=AT_REST_SECONDS)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
