"""`projector metrics`: once to standard output or a file, or as a service that looks every few seconds."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from events.runtime import logs, settings
from events.runtime.console import say_whole
from events.runtime.errors import InputError, SettingError
from events.runtime.settings import Settings, host_and_port, variable
from events.runtime.stop import Stop, stop_on_signals
from projector.database.engines import make_engine
from projector.exporter.figures import Figures
from projector.metrics import endpoint, probes
from projector.metrics.families import Families, Family
from projector.metrics.heartbeat import Heartbeat
from projector.metrics.probes import Answer

LOOK_SECONDS: Final = 10.0  # between two looks, however often somebody scrapes
SILENT_SECONDS: Final = 120.0  # a look may wait for both services
READABLE: Final = 0o644  # the node exporter runs as another user
PROGRAM: Final = "projector metrics"

_log = structlog.get_logger()


def metrics(*, listen: bool, textfile: Path | None) -> None:
    """Do as asked.

    Raises:
        SettingError: no address is set, it cannot be listened on, or a setting is not this deployment's.
        StateError: the schema does not exist, or is not at this program's revision.
        ServiceUnavailableError: once, a service is unavailable; what the other knows was written.
        InputError: the file cannot be written.

    """
    chosen = settings.load()
    logs.configure(chosen)
    with _figures(chosen) as figures:
        if listen:
            with stop_on_signals() as stop:
                _Service(figures).serve(chosen, stop)
            return
        text = generate_latest(_registry(figures.look())).decode()
        if textfile is None:
            for line in text.splitlines():
                say_whole(line)
        else:
            _write(textfile, text)
        for failure in figures.failures.values():
            raise failure


@contextmanager
def _figures(chosen: Settings) -> Iterator[Figures]:
    figures = Figures(chosen, make_engine(chosen, program=PROGRAM))
    try:
        yield figures
    finally:
        figures.close()


class _Snapshot(Collector):
    def __init__(self, families: Families) -> None:
        self.families = families

    def collect(self) -> Iterator[Family]:
        return iter(self.families)


class _Service:
    """Looks every few seconds; a scrape gets what the last look found."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._found = _Snapshot(Families())
        self._heartbeat = Heartbeat()
        self._looked = False

    def serve(self, chosen: Settings, stop: Stop) -> None:
        address = host_and_port(chosen.metrics_address)
        if address is None:
            raise SettingError(f"{variable('metrics_address')} is not set: set it to where to serve, as host:port")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._found)
        with endpoint.serving(address, registry, {probes.ALIVE: self._alive, probes.READY: self._ready}):
            self._heartbeat.manager.ready()
            while not stop.requested:
                self._heartbeat.beat()
                found = stop.run_unless_stopped(self._figures.look)
                if found is not None:
                    self._found.families = found
                    self._report()
                stop.wait(LOOK_SECONDS)
            self._heartbeat.manager.stopping()

    def _report(self) -> None:
        self._looked = not self._figures.failures
        for service, failure in self._figures.failures.items():
            _log.warning("not measured", service=service, reason=str(failure))

    def _alive(self) -> Answer:
        return probes.alive(self._heartbeat.age_seconds, SILENT_SECONDS)

    def _ready(self) -> Answer:
        return probes.ready(both_services_answer=self._looked)


def _registry(families: Families) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(families))
    return registry


def _write(path: Path, text: str) -> None:
    """Replace a file whole, so that nobody reads half of it."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(text)
            Path(file.name).chmod(READABLE)
        Path(file.name).replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
