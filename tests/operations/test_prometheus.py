"""Prometheus's own tool accepts the rules and the exposition; the rules raise what they are for, and nothing else."""

import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml
from prometheus_client.exposition import generate_latest

from projector.metrics.catalogue import CATALOGUE, Kind
from projector.metrics.families import Families, registry
from projector.metrics.histogram import Histogram

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]


def _promtool(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, text=True, check=False, cwd=HERE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_rules_are_rules() -> None:
    assert "12 rules found" in _promtool("check", "rules", str(ROOT / "deploy" / "prometheus" / "rules.yml"))


def test_each_rule_is_raised_by_what_it_is_for() -> None:
    assert "SUCCESS" in _promtool("test", "rules", "rules_test.yml")


def test_each_rule_has_a_case_that_raises_it_and_one_that_does_not() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())["groups"]
    tests = yaml.safe_load((HERE / "rules_test.yml").read_text())["tests"]
    cases = [(case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]]
    for rule in (rule for group in rules for rule in group["rules"]):
        assert {raised for name, raised in cases if name == rule["alert"]} == {True, False}, rule["alert"]


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_the_exposition_keeps_prometheus_rules(metric: object) -> None:
    def collect(families: Families) -> None:
        for each in (each for each in CATALOGUE if each == metric):
            labels: dict[str, str | int] = dict.fromkeys(each.labels, "x")
            if each.kind is Kind.HISTOGRAM:
                families.add_histogram(each.name, Histogram([1.0]), **labels)
            else:
                families.add(each.name, 1.0, **labels)

    assert not _promtool("check", "metrics", stdin=generate_latest(registry(collect)).decode())
