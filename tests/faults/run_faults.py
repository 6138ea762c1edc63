"""One run: rounds of traffic with a fault in each, then everything healed, then what has to hold."""

import signal
from collections.abc import Callable
from typing import Final

from projector.sandbox.processes import wait_until
from tests.faults.fault_run import Scene
from tests.faults.hands import rebuild_beside
from tests.faults.injections import Heal, inject
from tests.faults.plan import Fault
from tests.faults.program import Program
from tests.support.oracle import differences, expected, read_projection

BEGIN_SECONDS: Final = 60.0
CATCH_UP_SECONDS: Final = 90.0
END_SECONDS: Final = 60.0
CHECK_SECONDS: Final = 120.0
AUDITS_MAY: Final = {"drift-check": {0, 2}, "rebuild": {0, 1, 2}}
"""How an audit beside faults may end: not, or not all, could be done. What it may never do is find drift that no hand
has made."""
LEFT: Final = "SELECT run_id::text, command FROM billing.backfill_runs WHERE state <> 'finished' ORDER BY started_at"
SESSIONS: Final = """
SELECT pid, client_port, application_name, state, wait_event_type, wait_event, pg_blocking_pids(pid),
       now() - state_change, left(query, 60)
FROM pg_stat_activity WHERE datname = current_database() ORDER BY pid
"""
LETTERS: Final = "SELECT topic, partition, source_offset FROM billing.dead_letters"


def conduct(scene: Scene) -> None:
    """Do what the plan says."""
    programs = (*scene.consumers, scene.auditor)
    for program in programs:
        program.run()
    wait_until(lambda: all(program.has_begun for program in scene.consumers), seconds=BEGIN_SECONDS)
    messages = scene.messages()
    size = len(messages) // (len(scene.plan.faults) + 1)
    lasting: list[Heal] = []
    for number, fault in enumerate(scene.plan.faults):
        scene.send(messages[number * size : (number + 1) * size])
        scene.await_applied(int((number + fault.after) * size))
        heal = inject(scene, fault)
        while lasting:
            lasting.pop()()
        if fault.overlaps:
            lasting.append(heal)
        else:
            _hold(scene, fault)
            heal()
        for program in programs:
            keep_running(scene, program)
    scene.send(messages[len(scene.plan.faults) * size :])
    while lasting:
        lasting.pop()()
    scene.heal()
    if scene.edits:
        rebuild_beside(scene)


def settle(scene: Scene) -> None:
    """Let the programs come to rest: all is applied, the audit under way has ended, killed ones are gone on with."""
    scene.delivered()
    ends = scene.ends()
    for program in scene.consumers:
        keep_running(scene, program)
    await_(scene, lambda: scene.applied() >= sum(ends.values()), "all to be applied", CATCH_UP_SECONDS)
    for program in scene.consumers:
        keep_running(scene, program)
        program.send(signal.SIGTERM)
    await_(scene, lambda: scene.auditor.exit_code is not None, "the auditor to end", CHECK_SECONDS)
    _require_honest(scene, scene.auditor)
    for program in scene.consumers:
        await_(scene, lambda: program.exit_code is not None, f"{program.name} to drain", END_SECONDS)  # noqa: B023
        assert _drained(program), f"{program.name} drained with {program.exit_code}"


def judge(scene: Scene) -> None:
    """See that nothing was lost, doubled or invented, by us or by the auditor."""
    assert scene.positions() == scene.ends()
    assert {tuple(row) for row in scene.sql(LETTERS)} == scene.poison | scene.outlived
    assert scene.edits or scene.sql("SELECT * FROM billing.drift") == []
    with scene.engine.connect() as connection:
        difference = differences(expected(sent.line for sent in scene.sound), read_projection(connection))
    assert not difference, difference
    for program in (*scene.consumers, scene.auditor):
        for started in program.logs:
            text = started.stderr.read_text()
            assert "Traceback" not in text, f"{program.name}: {text[-3000:]}"
    for run_id, command in scene.sql(LEFT)[-1:] if not scene.edits else []:
        _require_clean(scene, command, "--resume", run_id)
    _require_clean(scene, "drift-check")


def keep_running(scene: Scene, program: Program) -> None:
    """Start a program again that was killed, or an audit that has ended; nothing else may have ended it."""
    if program.exit_code is None:
        return
    if program.name == "auditor":
        _require_honest(scene, program)
    else:
        assert program.killed, f"{program.name} ended by itself with {program.exit_code}"
    program.run()


def await_(scene: Scene, condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for a condition, or say which did not come; no consumer may end meanwhile by itself."""
    assert wait_until(condition, seconds=seconds), f"after {seconds:g} s still waiting for {what}; {_state(scene)}"


def _drained(program: Program) -> bool:
    """Accept that a signal ended a program that was not yet listening, since it had only just been started."""
    return program.exit_code == 0 or (program.exit_code == -signal.SIGTERM and not program.has_begun)


def _require_clean(scene: Scene, *command: str) -> None:
    done = scene.check("backfill", *command)
    assert done.process.poll() == 0, done.stdout.read_text() + done.stderr.read_text()


def _require_honest(scene: Scene, auditor: Program) -> None:
    if not auditor.killed and auditor.started is not None:
        command = auditor.started.process.args[1]
        text = auditor.started.stdout.read_text() + auditor.started.stderr.read_text()
        may = AUDITS_MAY[command] | ({1} if scene.edits else set())
        assert auditor.exit_code in may, f"{command} ended with {auditor.exit_code}: {text}"


def _hold(scene: Scene, fault: Fault) -> None:
    """Let a fault last its time, or until nothing is left for it to harm."""
    sent = len(scene.sound) + len(scene.poison)
    wait_until(lambda: scene.applied() >= sent, seconds=fault.seconds)


def _state(scene: Scene) -> str:
    codes = {program.name: program.exit_code for program in (*scene.consumers, scene.auditor)}
    sessions = "\n".join(map(str, scene.sql(SESSIONS)))
    return f"exit codes {codes}, positions {scene.positions()}, ends {scene.ends()}, sessions\n{sessions}"
