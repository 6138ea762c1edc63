"""The alert rules use metrics that exist, and each has a page that says what to do."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from projector.metrics.catalogue import BY_NAME

ROOT: Final = Path(__file__).parents[3]
RULES: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
HEADINGS: Final = ["What a customer sees", "Look", "Causes, the likeliest first", "Do", "It is over when"]
METRIC: Final = re.compile(r"\bprojector_[a-z_]+")
SCRAPED: Final = "deployment"  # a label of the scrape configuration
LABELS: Final = re.compile(r"(?:by|on) \(([^)]*)\)|\{([a-z_]+)[!=]")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_exists(rule: dict[str, Any]) -> None:
    metrics = [BY_NAME[name] for name in METRIC.findall(rule["expr"])]
    known = {SCRAPED, *(label for metric in metrics for label in metric.labels)}
    for by, given in LABELS.findall(rule["expr"]):
        assert set(re.findall(r"[a-z_]+", by or given)) <= known
    for label in re.findall(r"\$labels\.([a-z_]+)", rule["annotations"]["summary"]):
        assert label in known
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["for"], "nobody gets up for one scrape"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_takes_no_deployment_for_another(rule: dict[str, Any]) -> None:
    aggregated = re.findall(r"\b(?:min|max|sum|count|avg|group)\b( by \([^)]*\))?", rule["expr"])
    assert aggregated
    assert all(by.startswith(f" by ({SCRAPED}") for by in aggregated)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_no_rule_is_on_lag_alone(rule: dict[str, Any]) -> None:
    assert set(METRIC.findall(rule["expr"])) != {"projector_position_lag_events"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_has_a_page_that_says_what_to_do(rule: dict[str, Any]) -> None:
    page = (ROOT / rule["annotations"]["runbook"]).read_text()
    assert page.startswith(f"# {rule['alert']}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == HEADINGS
    look = re.search(r"^## Look\n\n```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert look is not None
    assert len(look[1].splitlines()) == 2


def test_the_overview_lists_each_alert_with_its_urgency() -> None:
    overview = (ROOT / "docs" / "runbooks" / "index.md").read_text()
    listed = dict(re.findall(r"^\| \[(\w+)\]\([a-z-]+\.md\) \| (\w+) \|", overview, re.MULTILINE))
    assert listed == {rule["alert"]: rule["labels"]["severity"] for rule in RULES}
