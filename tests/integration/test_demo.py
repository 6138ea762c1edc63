"""The demo holds to its word: every step true, ended in one line where one is not, nothing left however it ends."""

import json
import os
import re
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.support.machine_load import busy
from tests.support.programs import Started

ROOT: Final = Path(__file__).parents[2]
SECONDS_MAX: Final = 60  # the promise, for a machine that does nothing else
DEMO_SECONDS: Final = 1500.0


@pytest.fixture
def mark() -> Iterator[str]:
    """Give a word to the environment of the demo, and so of everything it starts."""
    word = uuid.uuid4().hex
    yield word
    for process in _marked(word):
        process.kill()


@pytest.fixture
def shell(mark: str) -> dict[str, str]:
    """Give the user settings of his own, none of which may reach the demo."""
    own = {"PROJECTOR_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "PROJECTOR_SCHEMA": "elsewhere"}
    return {**os.environ, **own, "PROJECTOR_KAFKA__SECURITY_PROTOCOL": "SSL", "DEMO_MARK": mark}


def test_every_step_holds_within_a_minute_and_nothing_is_left(
    shell: dict[str, str], mark: str, run_command: RunCommand
) -> None:
    result = run_command("projector", "demo", "--format", "json", env=shell, timeout=DEMO_SECONDS)
    assert result.exit_code == 0, result.stderr
    story = json.loads(result.stdout)
    assert story["seconds"] < SECONDS_MAX * busy()
    assert not _differs_from_readme(story)
    facts = {step["title"]: step["facts"] for step in story["steps"]}
    found = facts["The drift check names what was changed"]
    assert (found["drifted_meters"], facts["Broken events"]["broken"]) == (6, 73)
    assert facts["Repair while the consumer runs"]["repaired"] >= found["drifted_meters"]
    assert facts["A clean check while events arrive"]["drifted"] == 0
    assert not _marked(mark)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_it_is_ended(
    shell: dict[str, str], mark: str, start_command: StartCommand, wait_until: WaitUntil, number: signal.Signals
) -> None:
    demo = start_command("projector", "demo", env=shell)
    _await(demo, wait_until, "$ events simulate")
    demo.process.send_signal(number)
    ended = demo.process.wait(DEMO_SECONDS)
    assert ended == (-number if number is signal.SIGKILL else 128 + number), demo.stderr.read_text()
    wait_until(lambda: not _marked(mark), what="everything that it started to end")
    assert "Traceback" not in demo.stderr.read_text()


def test_a_step_that_does_not_hold_ends_it_in_one_line(
    shell: dict[str, str], mark: str, start_command: StartCommand, wait_until: WaitUntil
) -> None:
    demo = start_command("projector", "demo", env=shell)
    _await(demo, wait_until, "$ events simulate")
    [consumer] = [process for process in _marked(mark) if _command(process)[-2:] == [str(_program()), "run"]]
    consumer.kill()
    assert demo.process.wait(DEMO_SECONDS) == 1
    complaint = demo.stderr.read_text()
    assert complaint.count("\n") == 1, complaint
    assert "failed: the consumer ended" in complaint
    assert not _marked(mark)


def _command(process: psutil.Process) -> list[str]:
    """Return a process's command line; none of one that has ended since it was listed."""
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie is one, too
        return []


def _differs_from_readme(story: dict[str, Any]) -> list[str]:
    """List what a step that the README shows says otherwise there, figures aside."""
    shown = (ROOT / "README.md").read_text().partition("<!-- demo: begin -->")[2].partition("<!-- demo: end -->")[0]
    text = _without_figures(" ".join(line for line in shown.split("\n") if not set(line) & set("┏┃┡│└")))
    steps = [step for step in story["steps"] if step["title"] in shown]
    assert len(steps) > 4, "the README shows too little of the demo"
    said = [line for step in steps for line in (*step["commands"], *step["sentences"])]
    return [line for line in said if _without_figures(line) not in text]


def _without_figures(text: str) -> str:
    return re.sub(r"\d[\d,.]*", "#", " ".join(text.split()))


def _await(demo: Started, wait_until: WaitUntil, words: str) -> None:
    def reached() -> bool:
        assert demo.process.poll() is None, demo.stderr.read_text()
        return words in demo.stdout.read_text()

    wait_until(reached, what=f"the demo to print {words!r}", timeout=DEMO_SECONDS)


def _program() -> Path:
    return Path(sys.executable).parent / "projector"


def _marked(mark: str) -> list[psutil.Process]:
    """List the running processes that were started under a mark."""
    return [process for process in psutil.process_iter() if mark == _environment(process).get("DEMO_MARK")]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return {} if process.status() == psutil.STATUS_ZOMBIE else process.environ()
    except psutil.Error:
        return {}
