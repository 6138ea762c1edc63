"""A command that is printed to be copied names a program as the user's shell finds it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from events.runtime import console, extras

ROOT = Path(__file__).parents[3]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a program and `activate` in the folder `.venv/bin` of the working folder, which is not on the PATH."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("projector", "activate"):
        (folder / name).write_text("#!/bin/sh\necho found\n")
        (folder / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    return folder


@pytest.mark.parametrize("relative", [True, False])
def test_a_program_off_the_path_is_named_as_it_was_started(
    installed: Path, monkeypatch: pytest.MonkeyPatch, *, relative: bool
) -> None:
    started = ".venv/bin/projector" if relative else str(installed / "projector")
    monkeypatch.setattr(sys, "argv", [started, "sandbox", "up"])
    assert console.as_typed("projector") == started
    assert console.activation() == started.replace("/projector", "/activate")
    found = subprocess.run(["sh", "-c", console.as_typed("projector")], capture_output=True, check=True)
    assert found.stdout == b"found\n"


def test_a_program_on_the_path_is_named_alone(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{installed}:{os.defpath}")
    for started in ("projector", str(installed / "projector")):
        monkeypatch.setattr(sys, "argv", [started])
        assert console.as_typed("projector") == "projector"
        assert console.activation() is None


def test_another_program_of_the_name_on_the_path_is_not_meant(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "projector"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.setattr(sys, "argv", [str(installed / "projector")])
    assert console.as_typed("projector") == str(installed / "projector")


def test_a_module_is_named_with_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/projector/__main__.py"])
    assert console.as_typed("projector") == f"{sys.executable} -m projector"
    assert console.activation() is None


def test_what_an_extra_needs_is_installed_from_a_clone_and_never_from_an_index() -> None:
    assert extras.how_to_install("parquet").startswith("run `pip install '.[parquet]'` in a clone")
    sources = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    sources += [file for program in ("events", "projector", "backfill") for file in (ROOT / program).rglob("*.py")]
    for file in sources:
        assert "install 'meter-balance-projector" not in file.read_text(), file
        assert "install meter-balance-projector" not in file.read_text(), file
