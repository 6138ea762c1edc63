"""The Helm chart, rendered by Helm itself: Kubernetes' schemas accept it, and what it says fits the programs."""

import subprocess
from pathlib import Path
from typing import Any, Final

import helm_python
import kubernetes_validate
import pytest
import typer
import yaml

from events.runtime import settings
from events.runtime.option_values import seconds
from events.runtime.settings import Settings, host_and_port, known_variables
from projector.metrics import probes
from tests.docs.pages import FENCE, ROOT, text_of
from tests.docs.reference.commands import APPS
from tests.operations.helm_chart import (
    CHART,
    EVERYTHING,
    SERVICES,
    VALUES,
    Document,
    environment_of,
    only,
    rendered,
    workloads,
)

PAGE: Final = "docs/how-to/kubernetes.md"
OPERATOR: Final = "monitoring.coreos.com/v1"  # the Prometheus operator's kinds, of which there are no schemas here
VERSIONS: Final = ("1.29", "1.37")  # of Kubernetes: the oldest that Chart.yaml allows, and the newest with a schema
OWN: Final = {"PROJECTOR_DATABASE_URL", "PROJECTOR_ALERTS", "PROJECTOR_HEARTBEAT_URL", "PROJECTOR_METRICS_ADDRESS"}
"""Settings that are no value: secrets, and what the chart itself sets."""
SECRET_OF: Final = {"consumer": "consumer", "checker": "auditor", "exporter": "reader", "init": "owner"}


@pytest.fixture(params=list(VALUES.values()), ids=list(VALUES))
def documents(request: pytest.FixtureRequest) -> list[Document]:
    return rendered(request.param)


def test_helm_finds_nothing_wrong() -> None:
    found = helm_python.lint(CHART)
    assert found["errors"] == []
    assert {each["error"] for each in found["messages"]} <= {"icon is recommended"}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_it(documents: list[Document], version: str) -> None:
    for document in documents:
        if document["apiVersion"] != OPERATOR:
            kubernetes_validate.validate(document, version, strict=True)


def test_a_document_that_is_wrong_would_be_found() -> None:
    document = only(rendered({}), "StatefulSet")
    document["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


def test_all_parts_of_a_deployment_are_there(documents: list[Document]) -> None:
    assert {(component, each["kind"]) for component, each, _ in workloads(documents)} == {
        ("consumer", "StatefulSet"),
        ("checker", "Deployment"),
        ("exporter", "Deployment"),
        ("init", "Job"),
    }


def test_pods_start_what_exists(documents: list[Document]) -> None:
    for _, _, pod in workloads(documents):
        program, *words = pod["containers"][0]["command"]
        command: Any = typer.main.get_command(APPS[program])
        while hasattr(command, "commands"):
            name, *words = words
            command = command.commands[name]
        context = command.make_context(program, words)
        if within := context.params.get("cover_within"):
            assert seconds("--cover-within", within) > 0


def test_pods_have_settings_that_the_programs_take(documents: list[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    for component, _, pod in workloads(documents):
        given = environment_of(pod)
        with monkeypatch.context() as container:
            for name in known_variables():
                container.delenv(name, raising=False)
            for name, value in given.items():
                container.setenv(name, value)
            found = settings.load.__wrapped__()
        assert found.kafka_bootstrap_servers == "kafka:9092"
        assert found.kafka.get("group_instance_id") == ("billing-consumer-0" if component == "consumer" else None)
        assert bool(found.metrics_address) == (component in SERVICES)


def test_each_program_has_its_own_secret_and_the_owners_is_read_by_init_alone(documents: list[Document]) -> None:
    for component, _, pod in workloads(documents):
        [container] = pod["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": f"projector-{SECRET_OF[component]}"}}]


def test_values_are_every_setting_but_secrets_and_nothing_else() -> None:
    with helm_python.Chart.load(CHART) as chart:
        schema = chart.schema
    assert schema is not None
    assert schema["properties"]["settings"]["properties"].keys() == known_variables().keys() - OWN


@pytest.mark.parametrize(
    "values",
    [
        {"settings": {"PROJECTOR_SHEMA": "north"}},
        {"settings": {"PROJECTOR_TOPIC_PARTITIONS": 6}},
        {"settings": {"PROJECTOR_DATABASE_URL": "postgresql://consumer:secret@db/utility"}},
        {"settings": {"PROJECTOR_KAFKA__SASL_PASSWORD": "secret"}},
        {"settings": {"PROJECTOR_KAFKA__GROUP_INSTANCE_ID": "one-for-all"}},
        {"consumer": {"replicas": "two"}},
        {"checker": {"coverWithin": "daily"}},
        {"repica": 1},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_before_anything_is_installed(values: Document) -> None:
    with pytest.raises(helm_python.HelmValuesError):
        rendered(values)


def test_a_pod_keeps_no_right_that_it_does_not_need(documents: list[Document]) -> None:
    """What Kubernetes' pod security standard `restricted` asks for, and a root that is read only."""
    for _, _, pod in workloads(documents):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert "USER 65532:65532" in (ROOT / "Dockerfile").read_text()
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        assert all(volume.keys() & {"emptyDir", "secret"} for volume in pod["volumes"])


def test_kubernetes_adds_no_variable_that_looks_like_a_setting(documents: list[Document]) -> None:
    """A service named `projector-...` would become PROJECTOR_..._SERVICE_HOST, which the programs refuse."""
    for _, _, pod in workloads(documents):
        assert pod["enableServiceLinks"] is False


def test_the_probes_ask_what_the_programs_answer(documents: list[Document]) -> None:
    for component, _, pod in workloads(documents):
        [container] = pod["containers"]
        if component not in SERVICES:
            assert "livenessProbe" not in container
            continue
        assert container["livenessProbe"]["httpGet"] == {"path": probes.ALIVE, "port": "metrics"}
        assert container["readinessProbe"]["httpGet"] == {"path": probes.READY, "port": "metrics"}
        address = host_and_port(environment_of(pod)["PROJECTOR_METRICS_ADDRESS"])
        assert address is not None
        assert address[0] in {"0.0.0.0", "::"}  # noqa: S104 - in a pod: nobody could ask at loopback
        assert container["ports"] == [{"name": "metrics", "containerPort": address[1]}]


def test_a_drain_and_a_revoke_fit_into_the_grace_period(documents: list[Document]) -> None:
    for _, _, pod in workloads(documents):
        default = Settings.model_fields["shutdown_seconds"].default
        shutdown = float(environment_of(pod).get("PROJECTOR_SHUTDOWN_SECONDS", default))
        assert pod["terminationGracePeriodSeconds"] > 2 * shutdown


def test_two_versions_of_one_service_never_run_at_once(documents: list[Document]) -> None:
    for component, workload, pod in workloads(documents):
        assert ("PROJECTOR_KAFKA__GROUP_INSTANCE_ID" in environment_of(pod)) == (component == "consumer")
        if component in {"checker", "exporter"}:
            assert workload["spec"]["replicas"] == 1
            assert workload["spec"]["strategy"] == {"type": "Recreate"}


def test_the_schema_is_there_before_a_consumer(documents: list[Document]) -> None:
    job = only(documents, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["projector", "init", "--roles"]


def test_a_service_is_found_by_its_monitor_whether_it_is_ready_or_not() -> None:
    documents = rendered(EVERYTHING)
    service, monitor = only(documents, "Service"), only(documents, "ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["relabelings"] == [{"targetLabel": "deployment", "replacement": "billing"}]
    assert service["spec"]["publishNotReadyAddresses"] is True
    for component, workload, _ in workloads(documents):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items(), component
    assert only(documents, "StatefulSet")["spec"]["serviceName"] == service["metadata"]["name"]


def test_the_rules_are_the_ones_for_prometheus(tmp_path: Path) -> None:
    rules = only(rendered(EVERYTHING), "PrometheusRule")["spec"]
    assert rules == yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.yml")], check=True, capture_output=True)


def test_nothing_of_the_operator_is_there_unless_asked_for() -> None:
    assert not [each for each in rendered({}) if each["apiVersion"] == OPERATOR]


def test_each_pod_reaches_its_services_only_and_is_reached_by_who_scrapes() -> None:
    documents = rendered(EVERYTHING)
    for component, workload, _ in workloads(documents):
        policy = only(documents, "NetworkPolicy", f"-{component}")
        selected = policy["spec"]["podSelector"]["matchLabels"].items()
        assert selected <= workload["spec"]["template"]["metadata"]["labels"].items()
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        [egress] = policy["spec"]["egress"]
        ports = {port["port"] for port in egress["ports"]}
        assert ports == {53, 5432, 9092} | {"checker": {443}, "consumer": {4318}}.get(component, set())
        scraped = [{"ports": [{"port": "metrics", "protocol": "TCP"}], "from": EVERYTHING["networkPolicy"]["scrapers"]}]
        assert policy["spec"].get("ingress") == (scraped if component in SERVICES else None)


def test_the_chart_and_the_programs_have_one_version() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert f'version = "{chart["appVersion"]}"' in project
    assert chart["version"] == chart["appVersion"]


def test_the_page_sets_values_that_there_are() -> None:
    typed = "".join(block for kind, block in FENCE.findall(text_of(PAGE)) if kind == "yaml")
    assert typed
    assert rendered(yaml.safe_load(typed))
