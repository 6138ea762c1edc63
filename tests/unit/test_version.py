"""`--version`: what is installed, whatever the settings say."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import RunCommand

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = ("events", "projector", "backfill")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_prints_its_version(run_command: RunCommand, program: str) -> None:
    done = run_command(program, "--version", env=os.environ)
    assert done == (0, f"{program} {VERSION}\n", "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_setting_is_read_before(run_command: RunCommand, program: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PROJECTOR_CURRENCY=shillings\n")
    wrong = {**os.environ, "PROJECTOR_NO_SUCH_SETTING": "1", "PROJECTOR_TIMEZONE": "Nowhere"}
    assert run_command(program, "--version", env=wrong).exit_code == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_names_it(run_command: RunCommand, program: str) -> None:
    assert "--version" in run_command(program, "--help", env=os.environ).stdout


def test_the_changelog_has_an_entry_for_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## \[{re.escape(VERSION)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert "\n## [Unreleased]\n" in changelog
    for version in re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE):
        assert f"\n[{version}]: https://" in changelog
