"""What befalls the log itself: a broker restored from an older copy of it, a topic deleted and created again.

Nothing heals these by itself. Consumers have to stop, each with the message that names what recovers; the harness types
that, sends again what was lost, and goes on. What they had read past the break must not show in the end.
"""

import json
import re
import signal
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic

from events.contract.types import ENTITIES, TopicPartition, topic_of
from projector.kafka_log import group
from projector.kafka_log.topic_configuration import CREATED_WITH
from projector.sandbox.processes import wait_until
from tests.faults.fault_run import FaultRun
from tests.faults.plan import Fault
from tests.faults.program import Program

SENT_MIN: Final = 9  # of fewer a third is no log to lose
STOP_SECONDS: Final = 180.0
APPLY_SECONDS: Final = 5.0
WAY_OUT: Final = re.compile(r"`projector (positions set \S+ \S+ earliest)`")
STOPS: Final = re.compile(
    r"projector: \S+: the (topic was deleted|position is|broker cannot serve the position).*`projector positions set"
)


def truncate(run: FaultRun, fault: Fault) -> None:
    """Restore the broker from a copy of its logs, and let them grow again beyond where they had been.

    What is lost is what was sent twice, so that nothing has to be published again; what is sent from then on would be
    skipped by a consumer that reads on at its offset.
    """
    if len(run.sound) < SENT_MIN:
        return
    run.heal()
    run.delivered()
    run.servers.copy_logs()
    run.redeliver()
    run.delivered()
    wait_until(lambda: run.positions() == run.ends(), seconds=APPLY_SECONDS)
    at_work = fault.victim % 2 == 0
    for program in run.consumers if not at_work else ():
        program.send(signal.SIGKILL)
    run.servers.kafka_proxy.away()  # for as long as the log is shorter than it was: its end would tell
    run.servers.restore_logs()
    run.reconnect()
    run.redeliver()
    run.redeliver()
    run.delivered()
    run.servers.kafka_proxy.back()
    for program in run.consumers if not at_work else ():
        program.run()
    recover(run)


def recreate(run: FaultRun, fault: Fault) -> None:
    """Delete a topic and create it again, and send all sound events that it held and more.

    A poisoned one of it has a dead letter where it had been read; where nobody had come that far, it is gone.
    """
    run.heal()
    run.delivered()
    entity = ENTITIES[fault.victim % len(ENTITIES)]
    topic = topic_of(entity, run.settings.topic_prefix)
    partitions = sum(name == topic for name, _ in run.places())
    run.admin.delete_topics([topic])[topic].result()
    assert wait_until(lambda: topic not in run.admin.list_topics(timeout=10).topics, seconds=STOP_SECONDS)
    run.admin.create_topics([NewTopic(topic, partitions, 1, config=dict(CREATED_WITH))])[topic].result()
    run.reconnect()
    lost = [(sent, True) for sent in run.sound if sent.entity == entity]
    run.send([*lost, *lost[: len(lost) // 2]])
    run.delivered()
    poison = {place for place in run.poison if place[0] == topic}
    stood = recover(run)
    run.poison -= poison
    run.outlived |= {place for place in poison if place[2] < stood.get(place[:2], 0)}


def recover(run: FaultRun) -> dict[TopicPartition, int]:
    """See every consumer stop for what was done, type what is printed, and start them again.

    Returns:
        Where the group stood when all had stopped; nothing where no position was stored that cannot be served.

    """
    if not problems(run):
        return {}
    for program in run.consumers:
        _require_stopped(program)
    _await_no_members(run)
    stood = run.positions()
    for problem in problems(run):
        command = WAY_OUT.search(problem["problem"])
        assert command is not None, problem
        done = run.check("projector", *command[1].split(), "--yes")
        assert done.process.poll() == 0, done.stdout.read_text() + done.stderr.read_text()
    assert not problems(run)
    for program in run.consumers:
        program.run()
    return stood


def problems(run: FaultRun) -> list[dict[str, Any]]:
    """Ask which positions cannot be served."""
    shown = run.check("projector", "positions", "show", "--format", "json")
    assert shown.process.poll() in {0, 1}, shown.stderr.read_text()
    found = json.loads(shown.stdout.read_text())["positions"]
    return [position for position in found if position["problem"]]


def _await_no_members(run: FaultRun) -> None:
    """Wait until the broker has forgotten the consumers, since positions are set in a group without members only.

    One that stops while its request to join is under way has no member id to leave with; the broker keeps the member
    until its session times out.
    """

    def empty() -> bool:
        try:
            return not group.members(run.admin, run.settings.group_id)
        except KafkaException:
            return False

    assert wait_until(empty, seconds=STOP_SECONDS), "consumers have stopped, and their group still has members"


def _require_stopped(program: Program) -> None:
    stopped = wait_until(lambda: program.exit_code is not None, seconds=STOP_SECONDS)
    assert program.started is not None
    text = program.started.stderr.read_text()
    assert stopped, f"{program.name} goes on in another log: {text[-3000:]}"
    if not program.killed:
        assert program.exit_code == 1, f"{program.name} ended with {program.exit_code}: {text[-3000:]}"
        assert STOPS.match(text.strip().split("\n")[-1]), text[-3000:]
