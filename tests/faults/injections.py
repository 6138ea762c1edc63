"""Carrying out one fault. Each kind does its harm, and hands back what undoes it where it lasts."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import psycopg
from confluent_kafka.admin import NewPartitions

from events.runtime import kafka
from events.runtime.errors import ServiceUnavailableError
from projector.sandbox.processes import wait_until
from tests.faults import hands, log_faults
from tests.faults.fault_run import FaultRun
from tests.faults.plan import Fault
from tests.faults.program import Program

Heal = Callable[[], None]

POINT_SECONDS: Final = 2.0  # how long somebody is waited for at a named point
STORM_MEMBERS: Final = 2
STORM_SECONDS: Final = 3.0
WAITING: Final = """
SELECT pid, client_port FROM pg_stat_activity
WHERE %s = ANY (pg_blocking_pids(pid)) AND application_name = %s ORDER BY pid
"""
AUDITORS_TABLE: Final = "backfill_runs"  # which moves with every chunk


def inject(run: FaultRun, fault: Fault) -> Heal:
    """Do the harm."""
    return KINDS[fault.kind](run, fault)


def _consumer(run: FaultRun, fault: Fault) -> Program:
    return run.consumers[fault.victim % len(run.consumers)]


def _anybody(run: FaultRun, fault: Fault) -> Program:
    return (*run.consumers, run.auditor)[fault.victim % (len(run.consumers) + 1)]


def _nothing() -> None:
    """Undo what lasts no time."""


def _kill(program: Program) -> Heal:
    program.send(signal.SIGKILL)
    return _nothing


def _pause(program: Program) -> Heal:
    program.send(signal.SIGSTOP)
    return lambda: program.send(signal.SIGCONT)


def _at(run: FaultRun, fault: Fault, table: str, name: str) -> Heal:
    """Hold a table until a session of such a program waits for it, and let the program or the session suffer there."""
    try:
        with _waiting_at(run, table, name) as (pid, program):
            match fault.kind.split()[0]:
                case "kill":
                    return _kill(program)
                case "pause":
                    return _pause(program)
                case "terminate":
                    run.sql("SELECT pg_terminate_backend(%s)", pid)
                case "reset":
                    program.proxy.reset()
    except (psycopg.Error, TimeoutError):  # nobody came by, or another fault is in the way
        pass
    return _nothing


@contextmanager
def _waiting_at(run: FaultRun, table: str, name: str) -> Iterator[tuple[int, Program]]:
    found: list[tuple[int, int]] = []
    with psycopg.connect(run.servers.url(run.database), connect_timeout=2) as holder:
        holder.execute(f"SET lock_timeout = '{POINT_SECONDS:g}s'")
        holder.execute(f"LOCK TABLE billing.{table} IN SHARE MODE".encode())

        def came_by() -> bool:
            found[:] = run.sql(WAITING, holder.info.backend_pid, name)
            return bool(found)

        if not wait_until(came_by, seconds=POINT_SECONDS):
            raise TimeoutError
        program = run.owner(found[0][1])
        if program is None:
            raise TimeoutError
        yield found[0][0], program
        holder.rollback()


def _end_session(run: FaultRun, fault: Fault) -> Heal:
    with suppress(psycopg.Error, ProcessLookupError):
        sessions = run.sessions()
        if sessions:
            pid = sessions[fault.victim % len(sessions)][0]
            if fault.kind == "terminate":
                run.sql("SELECT pg_terminate_backend(%s)", pid)
            else:
                os.kill(pid, signal.SIGKILL)
    return _nothing


def _end_server(run: FaultRun, fault: Fault) -> Heal:
    how, name = fault.kind.split()
    server = run.servers.postgres if name == "postgres" else run.servers.kafka
    (server.kill if how == "kill" else server.stop)()

    def start() -> None:
        with suppress(
            ServiceUnavailableError
        ):  # no room, where the next fault has filled the disk: its end is the start
            server.start()

    return start


def _storm(run: FaultRun, _: Fault) -> Heal:
    """Let members join that take partitions and read nothing, and leave."""
    protocols = {"consumer": {"group.protocol": "consumer"}}
    classic = {"partition.assignment.strategy": run.plan.protocol, "session.timeout.ms": 6000}
    properties = {"group.id": run.settings.group_id, "enable.auto.commit": False, "auto.offset.reset": "latest"}
    properties |= protocols.get(run.plan.protocol, classic)
    members = [kafka.consumer(run.settings, **properties) for _ in range(STORM_MEMBERS)]
    given: list[int] = []
    for member in members:
        member.subscribe(run.topics, on_assign=lambda *_: given.append(1))

    def joined() -> bool:
        for member in members:
            member.poll(0)
        return len(given) >= STORM_MEMBERS

    wait_until(joined, seconds=STORM_SECONDS)
    for member in members:
        member.close()
    return _nothing


def _add_partitions(run: FaultRun, fault: Fault) -> Heal:
    topic = run.topics[fault.victim % len(run.topics)]
    now = sum(name == topic for name, _ in run.places())
    for future in run.admin.create_partitions([NewPartitions(topic, now + 1)]).values():
        future.result()
    return _nothing


def _disturb(run: FaultRun, fault: Fault) -> Heal:
    """Have a proxy misbehave in the way that the kind begins with."""
    mode, *kafka_ = fault.kind.split()
    proxy = run.servers.kafka_proxy if kafka_ else _anybody(run, fault).proxy
    {"hang": proxy.hang, "reset": proxy.reset, "trickle": proxy.trickle, "away": proxy.away}[mode]()
    return proxy.back


def _fill_disk(run: FaultRun, _: Fault) -> Heal:
    run.servers.disk.fill()
    return run.servers.heal_disk


def _redeliver(run: FaultRun, _: Fault) -> Heal:
    run.redeliver()
    return _nothing


def _edit(run: FaultRun, fault: Fault) -> Heal:
    with suppress(psycopg.Error):
        hands.edit(run, fault.kind)
    hands.hand_over(run)
    return _nothing


def _consumer_at(run: FaultRun, fault: Fault) -> Heal:
    return _at(run, fault, fault.table, "projector run")


def _lasting_nothing(done: Callable[[FaultRun, Fault], None]) -> Callable[[FaultRun, Fault], Heal]:
    """Do what leaves nothing to undo."""

    def do(run: FaultRun, fault: Fault) -> Heal:
        done(run, fault)
        return _nothing

    return do


KINDS: Final[Mapping[str, Callable[[FaultRun, Fault], Heal]]] = {
    "kill": lambda run, fault: _kill(_consumer(run, fault)),
    "pause": lambda run, fault: _pause(_consumer(run, fault)),
    **dict.fromkeys(("kill at", "pause at", "terminate at", "reset at"), _consumer_at),
    "kill auditor": lambda run, _: _kill(run.auditor),
    "pause auditor": lambda run, _: _pause(run.auditor),
    "kill auditor at": lambda run, fault: _at(run, fault, AUDITORS_TABLE, "backfill"),
    **dict.fromkeys(("terminate", "kill backend"), _end_session),
    **dict.fromkeys(("hang", "reset", "trickle", "away"), _disturb),
    **dict.fromkeys(("hang kafka", "reset kafka", "trickle kafka", "away kafka"), _disturb),
    **dict.fromkeys(("kill postgres", "kill kafka", "restart kafka"), _end_server),
    "fill disk": _fill_disk,
    "truncate": _lasting_nothing(log_faults.truncate),
    "recreate": _lasting_nothing(log_faults.recreate),
    "storm": _storm,
    "add partitions": _add_partitions,
    "redeliver": _redeliver,
    **dict.fromkeys(hands.EDITS, _edit),
}
"""How each kind is done."""
