"""Shells complete commands and options of all three programs; what is mistyped is answered with what was meant."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from events.runtime.completion import Shell, variable
from tests.conftest import RunCommand

BEGUN: Final = {"events": "pub", "projector": "po", "backfill": "dri"}
MEANT: Final = {"events": "publish", "projector": "positions", "backfill": "drift-check"}
PROGRAMS: Final = sorted(BEGUN)


@pytest.mark.parametrize("shell", Shell)
@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_prints_a_script_for_each_shell(run_command: RunCommand, program: str, shell: Shell) -> None:
    done = run_command(program, "--show-completion", shell, env=os.environ)
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{variable(program)}=complete_{shell}" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_bash_completes_with_the_script(program: str) -> None:
    """As bash does: it reads the script, and calls the function with the words of the line."""
    script = f"""
        eval "$({program} --show-completion bash)"
        COMP_WORDS=({program} {BEGUN[program]}) COMP_CWORD=1
        _{program}_completion {program}
        echo "${{COMPREPLY[@]}}"
    """
    here = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=here, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{MEANT[program]}\n", "")


@pytest.mark.parametrize(("shell", "more"), [("zsh", {}), ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"})])
@pytest.mark.parametrize("program", PROGRAMS)
def test_other_shells_ask_in_their_own_way(program: str, shell: str, more: dict[str, str]) -> None:
    asked = {variable(program): f"complete_{shell}", "_TYPER_COMPLETE_ARGS": f"{program} {BEGUN[program]}", **more}
    command = [str(Path(sys.executable).parent / program)]
    done = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert MEANT[program] in done.stdout


def test_options_and_commands_of_groups_are_completed(run_command: RunCommand) -> None:
    for words, meant in (("projector status --j", ["--json"]), ("projector positions s", ["show", "set"])):
        asked = {"_PROJECTOR_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "2"}
        assert run_command("projector", env={**os.environ, **asked}).stdout.split() == meant


def test_a_shell_that_is_unknown_is_named(run_command: RunCommand) -> None:
    done = run_command("projector", "--show-completion", "tcsh", env=os.environ)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "'bash', 'zsh', 'fish'" in done.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("events publsh -", "'publish'"),
        ("projector positon", "'positions'"),
        ("projector positions shw", "'show'"),
        ("backfill drift-chek", "'drift-check'"),
        ("events publish - --dry-rum", "--dry-run"),
        ("projector status --jsn", "--json"),
        ("backfill drift-check --custmer 7", "--customer"),
        ("projector --verson", "--version"),
    ],
)
def test_what_is_mistyped_is_answered_with_what_was_meant(run_command: RunCommand, typed: str, meant: str) -> None:
    done = run_command(*typed.split(), env=os.environ)
    assert (done.exit_code, done.stdout) == (2, "")
    assert meant in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_says_its_version(run_command: RunCommand, program: str) -> None:
    done = run_command(program, "--version", env=os.environ)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{program} ")
