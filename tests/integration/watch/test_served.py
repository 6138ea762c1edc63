"""What a checking service serves about itself, and the web address that it asks for when a check has ended well."""

import json
import signal
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg import Connection

from projector.metrics.catalogue import CATALOGUE, Source
from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.support.deployment import records, wait_for_exit
from tests.support.programs import Started

SERVED = {"PROJECTOR_METRICS_ADDRESS": "127.0.0.1:0", "PROJECTOR_LOG_FORMAT": "json"}


class Switch:
    """A web server that counts how often its secret path was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        switch = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                switch.asked.append(self.path)
                self.send_response(switch.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        return {"PROJECTOR_HEARTBEAT_URL": f"http://127.0.0.1:{self.server.server_port}/ping/hush"}

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def switch() -> Iterator[Switch]:
    made = Switch()
    yield made
    made.close()


def _get(service: Started, path: str) -> tuple[int, str]:
    [line] = records(service, "serving metrics")
    address = str(line["address"]).removesuffix("/metrics")
    try:
        with urlopen(address + path, timeout=60) as answer:  # noqa: S310 - its own program
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _values(service: Started) -> dict[str, dict[str, float]]:
    """Return each metric's values by its only label's."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(_get(service, "/metrics")[1]):
        for sample in family.samples:
            found.setdefault(sample.name, {})["".join(sample.labels.values())] = sample.value
    return found


@pytest.fixture
def served(start_command: StartCommand, environment: dict[str, str], wait_until: WaitUntil) -> Callable[..., Started]:
    """Start a checking service, and wait until it serves."""

    def start(*arguments: str) -> Started:
        service = start_command("backfill", "drift-check", *arguments, env=environment | SERVED)
        wait_until(lambda: records(service, "serving metrics"), what="metrics to be served")
        return service

    return start


def test_rounds_are_counted_and_both_probes_say_yes(
    database: Connection[Any], served: Callable[..., Started], wait_until: WaitUntil
) -> None:
    service = served("--every", "1s")
    wait_until(lambda: _values(service).get("projector_check_rounds_total", {}).get("complete", 0) >= 2, what="rounds")
    found = _values(service)
    ours = {metric.name for metric in CATALOGUE if Source.CHECKER in metric.sources}
    assert {name for name in found if name.startswith("projector_")} == ours - {"projector_run_throttled_seconds_total"}
    assert found["projector_check_last_complete_timestamp_seconds"][""] > 0
    for path in ("/healthz", "/readyz"):
        assert _get(service, path)[0] == 200
    database.execute("UPDATE alembic_version SET version_num = '0001'")
    wait_until(lambda: _values(service)["projector_check_rounds_total"].get("failed"), what="a round that fails")
    assert json.loads(_get(service, "/readyz")[1]) == {"ready": False, "checking": False}
    assert _get(service, "/healthz")[0] == 200
    service.process.send_signal(signal.SIGTERM)
    assert wait_for_exit(service) == 0


def test_rests_are_counted_by_who_asks_for_them(
    database: Connection[Any], served: Callable[..., Started], wait_until: WaitUntil
) -> None:
    assert not database.closed
    service = served("--cover-within", "10s")
    rests = "projector_run_throttled_seconds_total"
    wait_until(lambda: _values(service).get(rests, {}).get("schedule", 0) > 1, what="rests of the schedule")


def test_the_address_is_asked_for_when_a_check_of_everything_has_ended_well(
    database: Connection[Any], run_command: RunCommand, environment: dict[str, str], switch: Switch
) -> None:
    env = environment | switch.environment | {"PROJECTOR_LOG_FORMAT": "json"}
    assert run_command("backfill", "drift-check", env=env).exit_code == 0
    assert switch.asked == ["/ping/hush"]
    assert run_command("backfill", "drift-check", "--meter", "11", env=env).exit_code == 0
    assert len(switch.asked) == 1
    database.execute("UPDATE meter_balances SET total_billed = total_billed + 1 WHERE meter_id = 11")
    assert run_command("backfill", "drift-check", env=env).exit_code == 1
    assert len(switch.asked) == 2
    switch.status = 500
    failed = run_command("backfill", "drift-check", env=env)
    assert (failed.exit_code, len(switch.asked)) == (1, 3)
    [line] = [json.loads(line) for line in failed.stderr.splitlines() if "heartbeat failed" in line]
    assert (line["host"], line["reason"]) == ("127.0.0.1", "HTTP status 500")
    assert "hush" not in failed.stderr
    nobody = env | {"PROJECTOR_HEARTBEAT_URL": "http://127.0.0.1:1/ping/hush"}
    failed = run_command("backfill", "drift-check", env=nobody)
    assert failed.exit_code == 1
    assert "heartbeat failed" in failed.stderr
    assert "hush" not in failed.stderr


@pytest.mark.parametrize(
    "wrong", ["hush", "ftp://hush/x", "http://", "https:///hush", "http://h:hush/", "http://h/hu sh"]
)
def test_what_is_no_address_is_one_line_that_does_not_show_it(
    run_command: RunCommand, environment: dict[str, str], wrong: str
) -> None:
    failed = run_command("backfill", "drift-check", env=environment | {"PROJECTOR_HEARTBEAT_URL": wrong})
    assert failed.exit_code == 2
    assert "PROJECTOR_HEARTBEAT_URL: is not a web address such as https://example.org/path" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert "hush" not in failed.stderr
