"""`docs/reference/metrics.md`: every metric, from the catalogue."""

from typing import Final

from projector.metrics.catalogue import CATALOGUE
from tests.docs.reference.markdown import NOTE, code, sentence, table

INTRODUCTION: Final = f"""{NOTE}

# Metrics

For Prometheus: [Measure and probe](../how-to/metrics.md) says where they are served. `projector run` counts what it
does itself; `projector metrics` reads what PostgreSQL and Kafka know, also while nothing else runs. Where both have a
metric, a consumer knows its own partitions at this moment, and the exporter all of them some seconds ago: take the
`max by (topic, partition)`. Those of `projector run` have the process's own `process_*` beside them.

Values are in base units: seconds, bytes, events, and money in the deployment's currency. No label holds a meter or a
customer.

"""


def page() -> str:
    """Return the page."""
    rows = [
        (
            code(metric.name),
            metric.kind.value,
            ", ".join(map(code, metric.labels)),
            ", ".join(code(source.value) for source in metric.sources),
            sentence(metric.help),
        )
        for metric in CATALOGUE
    ]
    return INTRODUCTION + table(("metric", "type", "labels", "of", "meaning"), rows)
