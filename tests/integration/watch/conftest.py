"""A database with history, and somewhere on loopback that takes alerts."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.integration.backfill.conftest import connect, database, worker

__all__ = ["connect", "database", "worker"]


class Inbox:
    """A web server that keeps what it is sent; it refuses all while `refusing`."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.refusing = False
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["content-length"]))
                if not inbox.refusing:
                    inbox.messages.append(json.loads(sent))
                self.send_response(503 if inbox.refusing else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def address(self) -> str:
        return f"json://someone:hush@127.0.0.1:{self._server.server_port}/"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    @property
    def drifts(self) -> list[str]:
        """Leave out what a machine adds that is too busy for a check every second."""
        return [title for title in self.titles if title.startswith("Drift: ")]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()
