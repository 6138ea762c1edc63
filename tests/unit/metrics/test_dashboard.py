"""The dashboard asks for metrics that exist, by labels that they have, and each panel says what it shows."""

import re
from typing import Final

import pytest

from projector.metrics.catalogue import BY_NAME, Kind, Metric
from tests.operations.dashboard import PANELS, ROWS, Panel

METRIC: Final = re.compile(r"\bprojector_[a-z_]+")
SCRAPED: Final = {"deployment", "instance"}  # labels of Prometheus and of its configuration
LABELS: Final = re.compile(r"by \(([^)]*)\)|([a-z_]+)=")


def test_its_rows_are_the_questions_of_an_operator() -> None:
    assert ROWS == ["Freshness", "Throughput", "Positions", "Proof", "Dead letters", "Runs"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_asks_for_what_exists(panel: Panel) -> None:
    for query, legend in panel.queries:
        metrics = [_metric(name) for name in METRIC.findall(query)]
        known = SCRAPED | {label for metric in metrics for label in metric.labels} | {"le"}
        asked = {label for groups in LABELS.findall(query) for label in re.findall(r"[a-z_]+", "".join(groups))}
        assert metrics
        assert asked <= known
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= asked | {"instance"}
        assert query.count('deployment=~"$deployment"') == len(metrics), "the choice of deployments applies to all"


def test_it_can_be_read() -> None:
    assert all(panel.description.endswith(".") and panel.unit for panel in PANELS)
    assert len({panel.title for panel in PANELS}) == len(PANELS)
    places = [(x, y) for panel in PANELS for x in _span(panel.place, "x", "w") for y in _span(panel.place, "y", "h")]
    assert len(set(places)) == len(places), "no panel lies on another"
    assert all(x < 24 for x, _ in places)  # of Grafana


def _metric(name: str) -> Metric:
    found = BY_NAME.get(name) or BY_NAME[re.sub(r"_(bucket|sum|count)$", "", name)]
    assert (found.name == name) == (found.kind is not Kind.HISTOGRAM)
    return found


def _span(place: dict[str, int], start: str, length: str) -> range:
    return range(place[start], place[start] + place[length])
