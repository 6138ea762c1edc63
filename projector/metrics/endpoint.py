"""The page of metrics and the two probes over HTTP, on a thread of their own.

Requests are answered one thread each and are not logged: a probe comes every few seconds. Nothing but GET and HEAD is
answered, and nothing that a request says reaches the process.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from socketserver import TCPServer
from threading import Thread
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from events.runtime.errors import SettingError
from events.runtime.settings import variable
from projector.metrics.probes import Probe

METRICS: Final = "/metrics"
REQUEST_SECONDS: Final = 10  # for a client to send its request and take the answer

_log = structlog.get_logger()


@contextmanager
def serving(address: tuple[str, int], registry: CollectorRegistry, probes: Mapping[str, Probe]) -> Iterator[None]:
    """Serve for the duration of the block.

    Args:
        address: host and port; port 0 is a free one, which the log names.
        registry: what the page of metrics shows.
        probes: by path.

    Raises:
        SettingError: the address cannot be listened on.

    """
    server = _server(address, registry, probes)
    host, port = server.server_address[:2]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True)
    thread.start()
    _log.info("serving metrics", address=f"http://{f'[{host!s}]' if ':' in str(host) else host!s}:{port}{METRICS}")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _server(address: tuple[str, int], registry: CollectorRegistry, probes: Mapping[str, Probe]) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if ":" in address[0] else AF_INET
        daemon_threads = True

        def server_bind(self) -> None:
            TCPServer.server_bind(self)  # HTTPServer's own asks a name server for our name, which may take long

        def handle_error(self, *_: object) -> None:
            """Say nothing of a client that went away."""

    class Handler(_Handler):
        pass

    Handler.registry, Handler.probes = registry, probes
    try:
        return Server(address, Handler)
    except OSError as error:
        name = variable("metrics_address")
        raise SettingError(f"{name}: cannot listen on {address[0]}:{address[1]}: {error.strerror or error}") from None


class _Handler(BaseHTTPRequestHandler):
    registry: CollectorRegistry
    probes: Mapping[str, Probe]
    timeout = REQUEST_SECONDS
    server_version = "projector"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == METRICS:
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, content_type, encode(self.registry))
        elif path in self.probes:
            found = self.probes[path]()
            status = HTTPStatus.OK if found.yes else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", json.dumps(found.facts).encode() + b"\n")
        else:
            paths = ", ".join([METRICS, *self.probes])
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", f"here are {paths}\n".encode())

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Say nothing: probes come every few seconds."""

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
