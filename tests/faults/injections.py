"""Carrying out one fault. Each kind does its harm, and hands back what undoes it where it lasts."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import psycopg
from confluent_kafka.admin import NewPartitions

from events.runtime import kafka
from events.runtime.errors import ServiceUnavailable
from projector.sandbox.processes import wait_until
from tests.faults import hands, log_faults
from tests.faults.fault_run import Scene
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


def inject(scene: Scene, fault: Fault) -> Heal:
    """Do the harm."""
    return KINDS[fault.kind](scene, fault)


def _consumer(scene: Scene, fault: Fault) -> Program:
    return scene.consumers[fault.victim % len(scene.consumers)]


def _anybody(scene: Scene, fault: Fault) -> Program:
    return (*scene.consumers, scene.auditor)[fault.victim % (len(scene.consumers) + 1)]


def _nothing() -> None:
    """Undo what lasts no time."""


def _kill(program: Program) -> Heal:
    program.send(signal.SIGKILL)
    return _nothing


def _pause(program: Program) -> Heal:
    program.send(signal.SIGSTOP)
    return lambda: program.send(signal.SIGCONT)


def _at(scene: Scene, fault: Fault, table: str, name: str) -> Heal:
    """Hold a table until a session of such a program waits for it, and let the program or the session suffer there."""
    try:
        with _waiting_at(scene, table, name) as (pid, program):
            match fault.kind.split()[0]:
                case "kill":
                    return _kill(program)
                case "pause":
                    return _pause(program)
                case "terminate":
                    scene.sql("SELECT pg_terminate_backend(%s)", pid)
                case "reset":
                    program.proxy.reset()
    except (psycopg.Error, TimeoutError):  # nobody came by, or another fault is in the way
        pass
    return _nothing


@contextmanager
def _waiting_at(scene: Scene, table: str, name: str) -> Iterator[tuple[int, Program]]:
    found: list[tuple[int, int]] = []
    with psycopg.connect(scene.servers.url(scene.database), connect_timeout=2) as holder:
        holder.execute(f"SET lock_timeout = '{POINT_SECONDS:g}s'")
        holder.execute(f"LOCK TABLE billing.{table} IN SHARE MODE".encode())

        def came_by() -> bool:
            found[:] = scene.sql(WAITING, holder.info.backend_pid, name)
            return bool(found)

        if not wait_until(came_by, seconds=POINT_SECONDS):
            raise TimeoutError
        program = scene.owner(found[0][1])
        if program is None:
            raise TimeoutError
        yield found[0][0], program
        holder.rollback()


def _end_session(scene: Scene, fault: Fault) -> Heal:
    with suppress(psycopg.Error, ProcessLookupError):
        sessions = scene.sessions()
        if sessions:
            pid = sessions[fault.victim % len(sessions)][0]
            if fault.kind == "terminate":
                scene.sql("SELECT pg_terminate_backend(%s)", pid)
            else:
                os.kill(pid, signal.SIGKILL)
    return _nothing


def _end_server(scene: Scene, fault: Fault) -> Heal:
    how, name = fault.kind.split()
    server = scene.servers.postgres if name == "postgres" else scene.servers.kafka
    (server.kill if how == "kill" else server.stop)()

    def start() -> None:
        with suppress(ServiceUnavailable):  # no room, where the next fault has filled the disk: its end is the start
            server.start()

    return start


def _storm(scene: Scene, _: Fault) -> Heal:
    """Let members join that take partitions and read nothing, and leave."""
    protocols = {"consumer": {"group.protocol": "consumer"}}
    classic = {"partition.assignment.strategy": scene.plan.protocol, "session.timeout.ms": 6000}
    properties = {"group.id": scene.settings.group_id, "enable.auto.commit": False, "auto.offset.reset": "latest"}
    properties |= protocols.get(scene.plan.protocol, classic)
    members = [kafka.consumer(scene.settings, **properties) for _ in range(STORM_MEMBERS)]
    given: list[int] = []
    for member in members:
        member.subscribe(scene.topics, on_assign=lambda *_: given.append(1))

    def joined() -> bool:
        for member in members:
            member.poll(0)
        return len(given) >= STORM_MEMBERS

    wait_until(joined, seconds=STORM_SECONDS)
    for member in members:
        member.close()
    return _nothing


def _add_partitions(scene: Scene, fault: Fault) -> Heal:
    topic = scene.topics[fault.victim % len(scene.topics)]
    now = sum(name == topic for name, _ in scene.places())
    for future in scene.admin.create_partitions([NewPartitions(topic, now + 1)]).values():
        future.result()
    return _nothing


def _disturb(scene: Scene, fault: Fault) -> Heal:
    """Have a proxy misbehave in the way that the kind begins with."""
    mode, *kafka_ = fault.kind.split()
    proxy = scene.servers.kafka_proxy if kafka_ else _anybody(scene, fault).proxy
    {"hang": proxy.hang, "reset": proxy.reset, "trickle": proxy.trickle, "away": proxy.away}[mode]()
    return proxy.back


def _fill_disk(scene: Scene, _: Fault) -> Heal:
    scene.servers.disk.fill()
    return scene.servers.heal_disk


def _redeliver(scene: Scene, _: Fault) -> Heal:
    scene.redeliver()
    return _nothing


def _edit(scene: Scene, fault: Fault) -> Heal:
    with suppress(psycopg.Error):
        hands.edit(scene, fault.kind)
    hands.hand_over(scene)
    return _nothing


def _consumer_at(scene: Scene, fault: Fault) -> Heal:
    return _at(scene, fault, fault.table, "projector run")


def _lasting_nothing(done: Callable[[Scene, Fault], None]) -> Callable[[Scene, Fault], Heal]:
    """Do what leaves nothing to undo."""

    def do(scene: Scene, fault: Fault) -> Heal:
        done(scene, fault)
        return _nothing

    return do


KINDS: Final[Mapping[str, Callable[[Scene, Fault], Heal]]] = {
    "kill": lambda scene, fault: _kill(_consumer(scene, fault)),
    "pause": lambda scene, fault: _pause(_consumer(scene, fault)),
    **dict.fromkeys(("kill at", "pause at", "terminate at", "reset at"), _consumer_at),
    "kill auditor": lambda scene, _: _kill(scene.auditor),
    "pause auditor": lambda scene, _: _pause(scene.auditor),
    "kill auditor at": lambda scene, fault: _at(scene, fault, AUDITORS_TABLE, "backfill"),
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
