"""The Helm chart, rendered by Helm itself with values of several users."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import helm_python
import yaml

from tests.docs.pages import ROOT

CHART: Final = ROOT / "deploy" / "helm" / "meter-projector"
SERVICES: Final = ("consumer", "checker", "exporter")
EVERYTHING: Final[dict[str, Any]] = {
    "image": {"tag": "1.2.3", "pullPolicy": "Always", "pullSecrets": ["registry"]},
    "settings": {
        "PROJECTOR_SCHEMA": "north",
        "PROJECTOR_BATCH_BYTES_MAX": "16777216",
        "PROJECTOR_SHUTDOWN_SECONDS": "90.5",
        "PROJECTOR_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "PROJECTOR_TRACES_URL": "http://collector:4318/v1/traces",
    },
    "secrets": {"files": "certificates"},
    "consumer": {"replicas": 6},
    "checker": {"coverWithin": "12h"},
    "metrics": {"host": "[::]", "serviceMonitor": True, "rules": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {"scrapers": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "billing", "operator": "Exists"}],
    "annotations": {"example.org/team": "billing"},
}
FEWEST: Final[dict[str, Any]] = {"consumer": {"replicas": 0}, "networkPolicy": {"enabled": False}}
VALUES: Final = {"default": {}, "everything": EVERYTHING, "fewest": FEWEST}
Document = dict[str, Any]


def rendered(values: Mapping[str, Any]) -> list[Document]:
    """Render the chart with values over its own; a value that its schema refuses raises Helm's error."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(chart.merge_values(dict(values)))
        files: dict[str, str] = chart.render(dict(values), name="billing", namespace="utility")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def workloads(documents: list[Document]) -> Iterator[tuple[str, Document, Document]]:
    """Yield each component with its workload and its pod's specification."""
    for document in documents:
        if document["kind"] in {"StatefulSet", "Deployment", "Job"}:
            template = document["spec"]["template"]
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], document, template["spec"]


def only(documents: list[Document], kind: str, name: str = "") -> Document:
    """Return the one document of a kind whose name ends so."""
    [found] = [each for each in documents if each["kind"] == kind and each["metadata"]["name"].endswith(name)]
    return found


def environment_of(pod: Document) -> dict[str, str]:
    """Return what a pod's container sets itself; what Kubernetes fills in is the first consumer's name."""
    return {each["name"]: each.get("value", "billing-consumer-0") for each in pod["containers"][0]["env"]}
