"""One run: rounds of traffic with a fault in each, then everything healed, then what has to hold."""

import signal
from collections.abc import Callable
from typing import Final

from projector.sandbox.processes import wait_until
from tests.faults.fault_run import FaultRun
from tests.faults.hands import rebuild_beside
from tests.faults.injections import Heal, inject
from tests.faults.plan import Fault
from tests.faults.program import Program
from tests.support.recorded import disagreement

BEGIN_SECONDS: Final = 180.0
CATCH_UP_SECONDS: Final = 240.0
END_SECONDS: Final = 180.0
CHECK_SECONDS: Final = 240.0
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


def run_faults(run: FaultRun) -> None:
    """Do what the plan says."""
    programs = (*run.consumers, run.auditor)
    for program in programs:
        program.run()
    wait_until(lambda: all(program.has_begun for program in run.consumers), seconds=BEGIN_SECONDS)
    messages = run.messages()
    size = len(messages) // (len(run.plan.faults) + 1)
    lasting: list[Heal] = []
    for number, fault in enumerate(run.plan.faults):
        run.send(messages[number * size : (number + 1) * size])
        run.await_applied(int((number + fault.after) * size))
        heal = inject(run, fault)
        while lasting:
            lasting.pop()()
        if fault.overlaps:
            lasting.append(heal)
        else:
            _hold(run, fault)
            heal()
        for program in programs:
            keep_running(run, program)
    run.send(messages[len(run.plan.faults) * size :])
    while lasting:
        lasting.pop()()
    run.heal()
    if run.edits:
        rebuild_beside(run)


def settle(run: FaultRun) -> None:
    """Let the programs come to rest: all is applied, the audit under way has ended, killed ones are gone on with."""
    run.delivered()
    ends = run.ends()
    for program in run.consumers:
        keep_running(run, program)
    await_(run, lambda: run.applied() >= sum(ends.values()), "all to be applied", CATCH_UP_SECONDS)
    for program in run.consumers:
        keep_running(run, program)
        program.send(signal.SIGTERM)
    await_(run, lambda: run.auditor.exit_code is not None, "the auditor to end", CHECK_SECONDS)
    _require_honest(run, run.auditor)
    for program in run.consumers:
        await_(run, lambda: program.exit_code is not None, f"{program.name} to drain", END_SECONDS)  # noqa: B023
        assert _drained(program), f"{program.name} drained with {program.exit_code}"


def judge(run: FaultRun) -> None:
    """See that nothing was lost, doubled or invented, by us or by the auditor."""
    assert run.positions() == run.ends()
    assert {tuple(row) for row in run.sql(LETTERS)} == run.poison | run.outlived
    assert run.edits or run.sql("SELECT * FROM billing.drift") == []
    with run.engine.connect() as connection:
        difference = disagreement((sent.line for sent in run.sound), connection)
    assert not difference, difference
    for program in (*run.consumers, run.auditor):
        for started in program.logs:
            text = started.stderr.read_text()
            assert "Traceback" not in text, f"{program.name}: {text[-3000:]}"
    for run_id, command in run.sql(LEFT)[-1:] if not run.edits else []:
        _require_clean(run, command, "--resume", run_id)
    _require_clean(run, "drift-check")


def keep_running(run: FaultRun, program: Program) -> None:
    """Start a program again that was killed, or an audit that has ended; nothing else may have ended it."""
    if program.exit_code is None:
        return
    if program.name == "auditor":
        _require_honest(run, program)
    else:
        assert program.killed, f"{program.name} ended by itself with {program.exit_code}"
    program.run()


def await_(run: FaultRun, condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for a condition, or say which did not come; no consumer may end meanwhile by itself."""
    assert wait_until(condition, seconds=seconds), f"after {seconds:g} s still waiting for {what}; {_state(run)}"


def _drained(program: Program) -> bool:
    """Accept that a signal ended a program that was not yet listening, since it had only just been started."""
    return program.exit_code == 0 or (program.exit_code == -signal.SIGTERM and not program.has_begun)


def _require_clean(run: FaultRun, *command: str) -> None:
    done = run.check("backfill", *command)
    assert done.process.poll() == 0, done.stdout.read_text() + done.stderr.read_text()


def _require_honest(run: FaultRun, auditor: Program) -> None:
    if not auditor.killed and auditor.started is not None:
        command = auditor.started.process.args[1]
        text = auditor.started.stdout.read_text() + auditor.started.stderr.read_text()
        may = AUDITS_MAY[command] | ({1} if run.edits else set())
        assert auditor.exit_code in may, f"{command} ended with {auditor.exit_code}: {text}"


def _hold(run: FaultRun, fault: Fault) -> None:
    """Let a fault last its time, or until nothing is left for it to harm."""
    sent = len(run.sound) + len(run.poison)
    wait_until(lambda: run.applied() >= sent, seconds=fault.seconds)


def _state(run: FaultRun) -> str:
    codes = {program.name: program.exit_code for program in (*run.consumers, run.auditor)}
    sessions = "\n".join(map(str, run.sql(SESSIONS)))
    return f"exit codes {codes}, positions {run.positions()}, ends {run.ends()}, sessions\n{sessions}"
