"""A histogram counts what Prometheus's own would, one at a time or all at once."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Theirs

from projector.metrics.histogram import Histogram

BOUNDS = (0.0, 0.5, 1.0, 10.0)
VALUES = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 10.0, 11.0]) | st.floats(-20, 20))
SINCE = st.lists(st.integers(980_000, 1_020_000) | st.sampled_from([990_000, 999_000, 999_500, 1_000_000]))
NOW = 1_000_000.0


@given(values=VALUES, since=SINCE)
def test_it_counts_what_the_library_counts(values: list[float], since: list[int]) -> None:
    registry = CollectorRegistry()
    theirs = Theirs("x", "x", buckets=BOUNDS, registry=registry)
    ours = Histogram(BOUNDS)
    ages = [(NOW - moment) / 1000 for moment in since]
    for value in [*values, *ages]:
        theirs.observe(value)
    for value in values:
        ours.observe(value)
    ours.observe_ages(sorted(since), NOW)
    [family] = registry.collect()
    expected = {sample.labels["le"]: sample.value for sample in family.samples if sample.name == "x_bucket"}
    assert dict(ours.buckets()) == expected
    assert abs(ours.sum - sum([*values, *ages])) < 1e-6
