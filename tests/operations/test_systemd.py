"""systemd's own tool accepts the units, and what they say fits the programs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from backfill.watch import checker_metrics
from events.runtime.settings import Settings, known_variables
from projector.exporter import command as exporter
from projector.metrics import probes
from tests.docs.pages import ROOT, unknown_word

UNITS: Final = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
INSTALLED: Final = "/opt/projector/bin/"
EXPOSURE_MAX: Final = 20  # tenths, of which systemd calls 100 unsafe
SHUTDOWN: Final = Settings.model_fields["shutdown_seconds"].default
LOOPS: Final = {
    "projector@.service": probes.SILENT_SECONDS + SHUTDOWN,
    "projector-check.service": checker_metrics.SILENT_SECONDS + SHUTDOWN,
    "projector-metrics.service": exporter.SILENT_SECONDS,
}
"""How long the loop of each service may be silent and alive."""


def _value(unit: Path, name: str) -> str:
    [value] = re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)
    return str(value)


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(min|h|)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"": 1, "min": 60, "h": 3600}[unit]


def _systemd_analyze(*arguments: str) -> str:
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_they_are_all_there() -> None:
    assert {unit.name for unit in UNITS} == {*LOOPS, "projector-init.service"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    ours = tmp_path / unit.name.replace("@", "@9464")
    ours.write_text(unit.read_text().replace(INSTALLED, f"{Path(sys.executable).parent}/"))
    assert not _systemd_analyze("verify", str(ours))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_little_is_left_to_whoever_gets_in(unit: Path) -> None:
    _systemd_analyze("security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", str(unit))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_starts_what_exists_with_settings_that_exist(unit: Path) -> None:
    program, *words = shlex.split(_value(unit, "ExecStart").removeprefix(INSTALLED))
    assert not unknown_word(program, words)
    assert set(re.findall(r"PROJECTOR_\w+(?==)", unit.read_text())) <= known_variables().keys()


@pytest.mark.parametrize("name", LOOPS)
def test_a_living_loop_is_left_alone_and_a_drain_can_end(name: str) -> None:
    unit = ROOT / "deploy" / "systemd" / name
    assert _value(unit, "Type") == "notify"
    assert _seconds(_value(unit, "WatchdogSec")) > LOOPS[name]
    assert _seconds(_value(unit, "TimeoutStopSec")) > 2 * SHUTDOWN
