"""The page and the probes over a real socket, and `projector health` beside them."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from events.runtime.errors import ServiceUnavailableError, SettingError
from events.runtime.settings import Settings, host_and_port
from projector.metrics import endpoint, health, probes
from projector.metrics.families import Families, registry
from projector.metrics.probes import Answer

Asked = tuple[int, str, bytes]


@pytest.fixture
def answers() -> dict[str, Answer]:
    return {probes.ALIVE: probes.alive(1.0, 60.0), probes.READY: probes.ready(joined=False, breaker_closed=True)}


@pytest.fixture
def port(answers: dict[str, Answer]) -> Iterator[int]:
    def collect(families: Families) -> None:
        families.add("projector_position_offset", 7, topic="billing.invoices", partition=0)

    found = {path: lambda path=path: answers[path] for path in answers}
    with capture_logs() as logged, endpoint.serving(("127.0.0.1", 0), registry(collect), found):
        [line] = logged
        yield int(line["address"].removesuffix("/metrics").rpartition(":")[2])
    assert logged == [line], "requests are not logged"


def _ask(port: int, path: str, method: str = "GET", **headers: str) -> Asked:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, str(answer.getheader("Content-Type")), body


def test_the_page_of_metrics_in_the_form_that_is_asked_for(port: int) -> None:
    status, form, body = _ask(port, "/metrics?x=1")
    assert (status, form.partition(";")[0]) == (200, "text/plain")
    found = {family.name: family for family in text_string_to_metric_families(body.decode())}
    [sample] = found["projector_position_offset"].samples
    assert (sample.value, sample.labels) == (7.0, {"topic": "billing.invoices", "partition": "0"})
    assert "process_cpu_seconds" in found
    _, form, body = _ask(port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert form.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_probes_answer_with_their_facts(port: int, answers: dict[str, Answer]) -> None:
    status, form, body = _ask(port, "/healthz")
    assert (status, form) == (200, "application/json")
    assert json.loads(body) == {"alive": True, "loop_age_seconds": 1.0, "limit_seconds": 60.0}
    status, _, body = _ask(port, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "joined": False, "breaker_closed": True})
    answers[probes.ALIVE] = probes.alive(61.0, 60.0)
    answers[probes.READY] = probes.ready(joined=True, breaker_closed=True)
    assert (_ask(port, "/healthz")[0], _ask(port, "/readyz")[0]) == (503, 200)


def test_nothing_else_is_answered(port: int) -> None:
    assert _ask(port, "/")[0] == 404
    assert _ask(port, "/../etc/passwd")[0] == 404
    assert _ask(port, "/metrics", method="POST")[0] == 501
    status, _, body = _ask(port, "/metrics", method="HEAD")
    assert (status, body) == (200, b"")


def test_a_client_that_goes_away_harms_nobody(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n")
    assert _ask(port, "/healthz")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_an_address_that_is_in_use_is_a_wrong_setting(port: int) -> None:
    with (
        pytest.raises(SettingError, match=rf"PROJECTOR_METRICS_ADDRESS: cannot listen on 127.0.0.1:{port}: "),
        endpoint.serving(("127.0.0.1", port), registry(lambda _: None), {}),
    ):
        pass


def _health(monkeypatch: pytest.MonkeyPatch, address: str, *, ready: bool = False) -> tuple[bool, dict[str, Any]]:
    settings = Settings(_env_file=None, metrics_address=address)
    monkeypatch.setattr("events.runtime.settings.load", lambda: settings)
    return health.ask(ready=ready)


def test_health_asks_where_the_program_serves(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    yes, facts = _health(monkeypatch, f"0.0.0.0:{port}")
    assert yes
    assert facts["alive"]
    yes, facts = _health(monkeypatch, str(port), ready=True)
    assert not yes
    assert facts == {"ready": False, "joined": False, "breaker_closed": True}


def test_health_where_nobody_answers(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    with pytest.raises(SettingError, match="PROJECTOR_METRICS_ADDRESS is not set"):
        _health(monkeypatch, "")
    with socket.create_server(("127.0.0.1", 0)) as other:
        silent = other.getsockname()[1]
    with pytest.raises(ServiceUnavailableError, match=rf"http://127.0.0.1:{silent}/healthz does not answer: "):
        _health(monkeypatch, f"127.0.0.1:{silent}")
    monkeypatch.setattr(probes, "ALIVE", "/nothing")
    with pytest.raises(ServiceUnavailableError, match="is not one of these programs: it does not answer in JSON"):
        _health(monkeypatch, f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None), ("9464", ("127.0.0.1", 9464)), (":9464", ("127.0.0.1", 9464)),
        ("10.0.0.1:80", ("10.0.0.1", 80)), ("[::1]:9464", ("::1", 9464)), ("pod.internal:0", ("pod.internal", 0)),
    ],
)  # fmt: skip
def test_addresses(text: str, expected: tuple[str, int] | None) -> None:
    assert host_and_port(text) == expected


@pytest.mark.parametrize(
    "text", ["host", "host:", "1.2.3.4:65536", "::1:9464", "[1.2.3.4]:9464", "h:-1", "h:1x", "h:²"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not host:port, such as 127\.0\.0\.1:9464"):
        Settings(_env_file=None, metrics_address=text)
