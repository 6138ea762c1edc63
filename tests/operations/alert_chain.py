"""Prometheus and Alertmanager with what the project ships, the times divided by one factor, and who is told.

Every duration of `deploy/prometheus` and `deploy/alertmanager`, and every number of seconds that a rule compares with,
is divided by `FASTER`; nothing else of an expression is touched. Addresses are the test's own.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from projector.sandbox import processes
from projector.sandbox.ports import free_port
from tests.docs.pages import ROOT

FASTER: Final = 20
DEPLOY: Final = ROOT / "deploy"
SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION: Final = re.compile(r"\b(\d+)(ms|s|m|h|d)\b")
COMPARED: Final = re.compile(r"(?<=[<>] )\d{3,}\b")
"""Seconds in an expression: a count that is compared has one digit or two."""
TIMES: Final = (
    "interval",
    "for",
    "group_wait",
    "group_interval",
    "repeat_interval",
    "scrape_interval",
    "evaluation_interval",
)
Document = dict[str, Any]
START_SECONDS: Final = 120.0
QUERY_SECONDS: Final = 60


def faster(duration: re.Match[str]) -> str:
    """Divide a duration."""
    return f"{int(duration[1]) * SECONDS[duration[2]] * 1000 / FASTER:.0f}ms"


def scaled(document: Mapping[str, Any]) -> Document:
    """Divide every duration of a document."""
    return {name: _scaled(value, name) for name, value in document.items()}


def _scaled(value: object, name: str) -> object:
    if isinstance(value, Mapping):
        return scaled(value)
    if isinstance(value, list):
        return [_scaled(each, "") for each in value]
    if name in TIMES:
        return DURATION.sub(faster, str(value))
    if name == "expr":
        return COMPARED.sub(lambda number: f"{int(number[0]) / FASTER:g}", DURATION.sub(faster, str(value)))
    return value


class Receiver:
    """Whoever is told: keeps each alert's name and state, in the order of their coming."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
                for alert in sent["alerts"]:
                    receiver.told.append((self.path, alert["labels"]["alertname"], alert["status"]))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Chain:
    """A running Prometheus with its Alertmanager."""

    def __init__(self, prometheus: str, receiver: Receiver) -> None:
        self._prometheus = prometheus
        self.receiver = receiver

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression finds now."""
        return self._ask("query", query=expression)

    def course(self, expression: str, begin: float, end: float) -> list[dict[str, Any]]:
        """Return what an expression finds in each second from one moment to another, in Unix time."""
        return self._ask("query_range", query=expression, start=begin, end=end, step=1)

    def _ask(self, how: str, **parameters: str | float) -> list[dict[str, Any]]:
        address = f"{self._prometheus}/api/v1/{how}?{urlencode(parameters)}"
        with urlopen(address, timeout=QUERY_SECONDS) as answer:  # noqa: S310 - its own server
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    def raised(self) -> set[str]:
        """Return the names of the alerts that fire or are about to."""
        return {each["metric"]["alertname"] for each in self.query("ALERTS")}


@contextmanager
def chain(folder: Path, targets: Mapping[str, str]) -> Iterator[Chain]:
    """Start both beside the targets, by job; they end with the block."""
    with ExitStack() as stack:
        receiver = Receiver()
        stack.callback(receiver.close)
        manager, prometheus = (f"127.0.0.1:{free_port()}" for _ in range(2))
        _write(folder / "alertmanager.yml", _alertmanager(receiver))
        _write(folder / "rules.yml", scaled(_read(DEPLOY / "prometheus" / "rules.yml")))
        _write(folder / "prometheus.yml", _prometheus(manager, targets))
        stack.enter_context(
            _running(
                folder,
                "prometheus-alertmanager",
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'alerts'}",
                f"--web.listen-address={manager}",
                "--cluster.listen-address=",
            )
        )
        stack.enter_context(
            _running(
                folder,
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'series'}",
                f"--web.listen-address={prometheus}",
            )
        )
        for address in (manager, prometheus):
            if not processes.wait_until(lambda: _is_ready(address), seconds=START_SECONDS):  # noqa: B023 - asked at once
                pytest.fail(f"nothing is ready at {address}")
        yield Chain(f"http://{prometheus}", receiver)


def _alertmanager(receiver: Receiver) -> Document:
    shipped = scaled(_read(DEPLOY / "alertmanager" / "alertmanager.yml"))
    for each in shipped["receivers"]:
        each["webhook_configs"][0]["url"] = f"{receiver.address}/{each['name']}"
    return shipped


def _prometheus(manager: str, targets: Mapping[str, str]) -> Document:
    shipped = scaled(_read(DEPLOY / "prometheus" / "prometheus.yml"))
    shipped["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [manager]}]}]
    assert {job["job_name"] for job in shipped["scrape_configs"]} == targets.keys()
    shipped["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
    ]
    return shipped


@contextmanager
def _running(folder: Path, program: str, *arguments: str) -> Iterator[None]:
    with (
        (folder / f"{program}.log").open("wb") as log,
        subprocess.Popen([program, *arguments], cwd=folder, stdout=log, stderr=log) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


def _is_ready(address: str) -> bool:
    try:
        with urlopen(f"http://{address}/-/ready", timeout=QUERY_SECONDS) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _read(file: Path) -> Document:
    found: Document = yaml.safe_load(file.read_text())
    return found


def _write(file: Path, document: Document) -> None:
    file.write_text(yaml.safe_dump(document))
