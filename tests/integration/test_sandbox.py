"""The sandbox on real servers: idempotent, the same addresses and data after any end, nothing left of a throw-away."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from projector.sandbox import processes
from projector.sandbox.folder import temporary
from projector.sandbox.sandbox import Sandbox
from tests.conftest import RunCommand, StartCommand, WaitUntil

TOPIC = "kept"
OFF_THE_PATH = {**os.environ, "PATH": os.defpath}  # the machine's programs, and no virtual environment


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(temporary())
    yield made
    made.destroy()


@pytest.fixture
def shell() -> dict[str, str]:
    return dict(os.environ)


def test_a_life(sandbox: Sandbox, shell: dict[str, str], run_command: RunCommand, start_command: StartCommand) -> None:
    """Up twice at once, env, down, up again with the same addresses and data, down with the data removed."""
    where = ("--dir", str(sandbox.folder))
    both = [start_command("projector", "sandbox", "up", *where, "--format", "json", env=shell) for _ in range(2)]
    assert [each.process.wait(timeout=120) for each in both] == [0, 0], [each.stderr.read_text() for each in both]
    first, second = (json.loads(each.stdout.read_text())["environment"] for each in both)
    assert first == second == sandbox.environment

    printed = run_command("projector", "sandbox", "env", *where, env=shell).stdout
    seen = subprocess.run(["sh", "-c", f"{printed}\nenv"], capture_output=True, text=True, check=True).stdout
    assert {f"{name}={value}" for name, value in first.items()} <= set(seen.splitlines())
    _leave_traces(sandbox)

    down = run_command("projector", "sandbox", "down", *where, env=shell)
    kept = f"the data in {sandbox.folder} is kept\n"
    assert (down.exit_code, down.stdout) == (0, f"stopped PostgreSQL and Apache Kafka; {kept}")
    assert run_command("projector", "sandbox", "down", *where, env=shell).stdout == f"nothing was running; {kept}"
    assert not sandbox.postgres.running
    assert not sandbox.kafka.running
    refused = run_command("projector", "sandbox", "env", *where, env=shell)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "projector sandbox up" in refused.stderr

    again = run_command("projector", "sandbox", "up", *where, env=shell)
    broker = sandbox.kafka.process()
    assert broker is not None
    [archive] = [option for option in broker.cmdline() if option.startswith("-XX:SharedArchiveFile=")]
    assert Path(archive.partition("=")[2]).is_file()
    assert "[cds" not in sandbox.kafka.log.read_text()  # Java says so if it does not use the archive
    assert again.exit_code == 0, again.stderr
    assert sandbox.environment == first
    _expect_traces(sandbox)

    sandbox.kafka.stop()
    delete = ("projector", "sandbox", "down", "--delete", "--format", "json", *where)
    answers = [json.loads(run_command(*delete, env=shell).stdout) for _ in range(2)]
    folder = str(sandbox.folder)
    assert answers == [
        {"folder": folder, "stopped": ["PostgreSQL"], "deleted": True},
        {"folder": folder, "stopped": [], "deleted": False},
    ]
    assert not sandbox.folder.exists()
    nothing = run_command("projector", "sandbox", "down", *where, env=shell).stdout
    assert nothing == f"nothing was running; there is no data in {folder}\n"


def test_killed_servers_come_back_with_their_data(sandbox: Sandbox) -> None:
    """SIGKILL loses neither what was committed nor the address; a file of a dead server's misleads nobody."""
    before = sandbox.up()
    _leave_traces(sandbox)
    for server in (sandbox.postgres, sandbox.kafka):
        victim = server.process()
        assert victim is not None
        victim.kill()
        assert processes.wait_until(lambda: not server.running, seconds=60)  # noqa: B023 - called at once
    marker = sandbox.postgres.home / "data" / "postmaster.pid"
    marker.write_text(marker.read_text().replace(marker.read_text().splitlines()[0], str(os.getpid()), 1))
    assert sandbox.up() == before
    _expect_traces(sandbox)


def test_up_killed_at_every_step_is_completed_by_the_next(
    sandbox: Sandbox, shell: dict[str, str], start_command: StartCommand, wait_until: WaitUntil
) -> None:
    postgres, kafka = sandbox.postgres.home, sandbox.kafka.home
    steps = {
        "initdb at work": lambda: any(postgres.glob("data.partial*")),
        "PostgreSQL initialised": (postgres / "data").exists,
        "PostgreSQL started": lambda: sandbox.postgres.running,
        "Kafka's storage tool at work": (kafka / "format.log").exists,
        "Kafka started": lambda: sandbox.kafka.running,
    }
    for step, reached in steps.items():
        started = start_command("projector", "sandbox", "up", "--dir", str(sandbox.folder), env=shell)
        wait_until(reached, what=step)
        started.process.kill()
        started.process.wait()
    (kafka / "ports.json.partial").write_text("{")
    sandbox.up()
    _leave_traces(sandbox)


def test_damaged_and_taken_ports_are_chosen_anew(sandbox: Sandbox) -> None:
    sandbox.postgres.start()
    before = sandbox.postgres.url
    sandbox.postgres.stop()
    (sandbox.postgres.home / "ports.json").write_text('{"postgres": ')
    sandbox.postgres.start()
    assert sandbox.postgres.url != before


def test_nothing_is_left_when_the_owner_of_a_throwaway_is_killed(shell: dict[str, str], wait_until: WaitUntil) -> None:
    script = """
from projector.sandbox.sandbox import throwaway
with throwaway(started=False) as sandbox:
    sandbox.postgres.start()
    print(sandbox.folder, flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], env=shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        left = Sandbox(folder)
        assert left.postgres.running
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not folder.exists(), what="the folder to go")
    wait_until(lambda: not _naming(folder), what="every process that names it to end")


def test_a_process_whose_threads_outlive_its_first_one_is_not_gone(wait_until: WaitUntil) -> None:
    """As a killed broker for a moment: taken for gone, it still held its port, and the next was given another."""
    script = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
print("begun", flush=True)
ctypes.CDLL(None).pthread_exit(None)  # ends this thread alone
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        process = psutil.Process(child.pid)
        wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, what="the first thread to end")
        assert not processes.is_gone(process)
        child.kill()
        wait_until(lambda: processes.is_gone(process), what="the rest to end")


def _up_off_the_path(sandbox: Sandbox) -> "subprocess.CompletedProcess[str]":
    """Type the program's whole path, as after `make sandbox`."""
    command = [str(Path(sys.executable).parent / "projector"), "sandbox", "up", "--dir", str(sandbox.folder)]
    return subprocess.run(command, env=OFF_THE_PATH, capture_output=True, text=True, check=False)


def _naming(folder: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())]


def _leave_traces(sandbox: Sandbox) -> None:
    with psycopg.connect(sandbox.postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    admin = AdminClient({"bootstrap.servers": sandbox.kafka.bootstrap_servers})
    for future in admin.create_topics([NewTopic(TOPIC, 1, 1)]).values():
        future.result()


def _expect_traces(sandbox: Sandbox) -> None:
    with psycopg.connect(sandbox.postgres.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert TOPIC in AdminClient({"bootstrap.servers": sandbox.kafka.bootstrap_servers}).list_topics(timeout=10).topics
