"""The benchmark runs and reports. What it measures beside other tests says nothing, so no figure is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.figures import MARKS, RATIOS
from tests.bench.latency import Seen, Sent, rank, waits_of
from tests.bench.plan import Measurement, chosen

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


def test_a_part_is_measured_with_what_it_needs() -> None:
    assert chosen([]) == frozenset(Measurement)
    assert chosen([Measurement.LATENCY]) == {Measurement.LATENCY, Measurement.PROJECTOR}
    assert chosen([Measurement.ONE_BY_ONE]) == {Measurement.ONE_BY_ONE}


def test_an_event_is_visible_with_the_first_position_beyond_it() -> None:
    place = ("billing.invoices", 0)
    seen = {place: [Seen(5, 10.0), Seen(7, 11.0), Seen(9, 12.0)]}
    sent = [Sent(place, offset, 9.5) for offset in (5, 6, 7, 8)]
    assert list(waits_of(sent, seen)) == [1.5, 1.5, 2.5, 2.5]


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (1.0, 4.0)])
def test_a_rank_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert rank([1.0, 2.0, 3.0, 4.0], share) == value
