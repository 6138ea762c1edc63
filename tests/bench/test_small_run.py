"""The benchmark runs and reports. What it measures beside other tests says nothing, so no figure is asserted."""

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.figures import MARKS, RATIOS
from tests.bench.plan import Measurement

ROOT = Path(__file__).parents[2]
SMALL = (
    *("--events", "600", "--customers", "50", "--meters", "100", "--sample", "50"),
    *("--rate", "100", "--busy-rate", "100", "--seconds", "1", "--scale", "100", "--shape", "200"),
)


def test_a_small_run_reports_every_measurement_with_its_marks(tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.bench", *SMALL, "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(output.read_text())
    figures = {figure["key"]: figure["value"] for figure in report["figures"]}
    assert {key.partition(".")[0] for key in figures} == {"publish", *Measurement}
    assert all(value > 0 for key, value in figures.items() if not key.endswith("_cpu"))  # which ticks in 10 ms
    assert figures.keys() >= {ratio.key for ratio in RATIOS}
    assert {mark["key"]: type(mark["met"]) for mark in report["marks"]} == dict.fromkeys(MARKS, bool)
    assert report["machine"]["postgresql"]["synchronous_commit"] == "on"
    for figure in report["figures"]:
        assert figure["what"] in done.stdout
