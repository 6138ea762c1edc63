"""A collector of traces: takes OTLP over HTTP, and keeps what it is sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

Value = str | int | float
HANGING_SECONDS = 600


class Collector:
    """What was sent, and whether an answer is given."""

    def __init__(self) -> None:
        self.received: list[ResourceSpans] = []
        self.headers: list[str] = []
        self.answers = Event()
        self.answers.set()
        self.url = ""

    @property
    def spans(self) -> list[Span]:
        """Return every span, in the order of their coming."""
        return [span for sent in self.received for scope in sent.scope_spans for span in scope.spans]


def values(attributes: "list[KeyValue]") -> dict[str, Value]:
    """Return attributes as they were set."""
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector for the duration of the block."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["content-length"]))
            collector.headers.append(str(self.headers["x-team"]))
            if not collector.answers.wait(HANGING_SECONDS):
                return
            collector.received.extend(ExportTraceServiceRequest.FromString(sent).resource_spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield collector
    collector.answers.set()
    server.shutdown()
    server.server_close()
