"""The catalogue keeps Prometheus's conventions, and a scrape can hold nothing that is not in it."""

import re

import pytest

from projector.metrics.catalogue import CATALOGUE, Kind, Metric
from projector.metrics.families import Families
from projector.metrics.histogram import Histogram

UNITS = ("_seconds", "_bytes", "_events", "_ratio", "_meters", "_findings", "_amount", "_offset", "_info")
NO_UNIT = {
    "projector_partitions_assigned", "projector_breaker_open", "projector_up", "projector_consumers",
    "projector_consumer_stops", "projector_dead_letters_open", "projector_topic_problems",
}  # fmt: skip
LABELS = {
    "topic", "partition", "reason", "cause", "outcome", "stage", "command", "sqlstate", "service", "program", "version",
    "schema", "group",
}  # fmt: skip


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_a_name_says_what_is_measured_and_in_which_unit(metric: Metric) -> None:
    assert re.fullmatch(r"projector_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.kind is Kind.COUNTER or metric.name.endswith(UNITS) or metric.name in NO_UNIT
    assert set(metric.labels) <= LABELS, "never a meter or a customer"
    assert metric.help
    assert not metric.help.endswith(".")
    assert metric.sources


def test_names_are_unique() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)


def test_what_the_catalogue_does_not_have_is_refused() -> None:
    families = Families()
    with pytest.raises(KeyError):
        families.add("projector_meter_balance", 1.0)
    with pytest.raises(KeyError, match="has the labels"):
        families.add("projector_position_offset", 1.0, topic="billing.invoices", meter=7)
    with pytest.raises(KeyError):
        families.add("projector_batch_events", 1.0)
    with pytest.raises(KeyError):
        families.add_histogram("projector_nothing_seconds", Histogram([1.0]))
