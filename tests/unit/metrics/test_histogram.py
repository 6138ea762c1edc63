"""A histogram counts what Prometheus's own would, one at a time or all at once."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Theirs

from projector.metrics.histogram import Histogram

BOUNDS = (0.0, 0.5, 1.0, 10.0)
VALUES = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 10.0, 11.0]) | st.floats(-20, 20))


@given(first=VALUES, second=VALUES)
def test_it_counts_what_the_library_counts(first: list[float], second: list[float]) -> None:
    registry = CollectorRegistry()
    theirs = Theirs("x", "x", buckets=BOUNDS, registry=registry)
    ours = Histogram(BOUNDS)
    for value in [*first, *second]:
        theirs.observe(value)
    for value in first:
        ours.observe(value)
    ours.observe_sorted(sorted(second))
    [family] = registry.collect()
    expected = {sample.labels["le"]: sample.value for sample in family.samples if sample.name == "x_bucket"}
    assert dict(ours.buckets()) == expected
    assert abs(ours.sum - sum([*first, *second])) < 1e-6
