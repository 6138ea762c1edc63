"""The values of one scrape: what is added has to be in the catalogue, with its labels, or the scrape fails."""

from collections.abc import Callable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from events.contract.types import TopicPartition
from events.runtime.settings import Settings
from projector.metrics.catalogue import BY_NAME, Kind
from projector.metrics.histogram import Histogram

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Families:
    """The metrics that have been added so far."""

    def __init__(self) -> None:
        self._plain: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        self._histograms: dict[str, HistogramMetricFamily] = {}

    def add(self, name: str, value: float, **labels: str | int) -> None:
        """Add a value of a counter or gauge.

        Raises:
            KeyError: the catalogue has no such metric, or it has other labels.

        """
        metric = BY_NAME[name]
        if name not in self._plain:
            kind = {Kind.COUNTER: CounterMetricFamily, Kind.GAUGE: GaugeMetricFamily}[metric.kind]
            self._plain[name] = kind(name, metric.help, labels=metric.labels)
        self._plain[name].add_metric(_values(name, labels), value)

    def add_build_info(self, program: str, settings: Settings) -> None:
        """Add what runs, and for which deployment."""
        installed = version("meter-balance-projector")
        labels = {"program": program, "version": installed, "schema": settings.schema_name, "group": settings.group_id}
        self.add("projector_build_info", 1, **labels)

    def add_position(self, place: TopicPartition, offset: int, *, lag: int, age: float, headroom: float | None) -> None:
        """Add what is known of a partition; a headroom that is unknown is left out."""
        labels: dict[str, str | int] = {"topic": place[0], "partition": place[1]}
        self.add("projector_position_offset", offset, **labels)
        self.add("projector_position_lag_events", lag, **labels)
        self.add("projector_position_age_seconds", age, **labels)
        if headroom is not None:
            self.add("projector_position_retention_headroom_seconds", headroom, **labels)

    def add_histogram(self, name: str, histogram: Histogram, **labels: str | int) -> None:
        """Add a histogram; raises the same."""
        if name not in self._histograms:
            metric = BY_NAME[name]
            self._histograms[name] = HistogramMetricFamily(name, metric.help, labels=metric.labels)
        self._histograms[name].add_metric(_values(name, labels), buckets=histogram.buckets(), sum_value=histogram.sum)

    def __iter__(self) -> Iterator[Family]:
        """Yield each metric with its values."""
        yield from self._plain.values()
        yield from self._histograms.values()


class _Source(Collector):
    def __init__(self, collect: Callable[[Families], None]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Family]:
        families = Families()
        self._collect(families)
        return iter(families)


def registry(collect: Callable[[Families], None]) -> CollectorRegistry:
    """Return a registry that has a function add the values at each scrape; the process's memory and time are added."""
    found = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=found)
    found.register(_Source(collect))
    return found


def _values(name: str, labels: dict[str, str | int]) -> list[str]:
    expected = BY_NAME[name].labels
    if labels.keys() != set(expected):
        raise KeyError(f"{name} has the labels {expected}")
    return [str(labels[label]) for label in expected]
