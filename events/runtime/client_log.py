"""librdkafka's log lines as ours: one line for each failure in `REPEAT_SECONDS`, however often the client repeats it.

While a broker is away, a client tries to connect several times a second and writes a line for each try. Where the
caller reports failures itself, as one line of an error or of a retry, connection failures are kept for that line only.
"""

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import Final

import structlog

WARNING: Final = 30  # as in `logging`
REPEAT_SECONDS: Final = 10.0  # between two lines on the same failure
RECENT_SECONDS: Final = 60.0  # an older failure explains nothing
DIFFERENT_MAX: Final = 500  # failures that are remembered; a large cluster has fewer brokers
CONNECTION: Final = "FAIL"
"""librdkafka's name for lines on connections that were lost or could not be made."""
REPORTED: Final = {CONNECTION, "SSL"}
"""Names of lines that are on connections, too: who reports failures does without them."""
OF_ANOTHER_KIND: Final = re.compile(r"is a (consumer|producer) property and will be ignored")
"""A deployment gives its properties to every client; each leaves out those of the other kind."""
FAILED_TRY: Final = re.compile(r" \(after \d+ms in state (?!UP\b)")
"""A connection that ended before it was usable. The client calls that information where it was accepted, then reset; a
connection that was up is closed in the ordinary course of things, for example because it was idle."""
THREAD: Final = re.compile(r"^\[thrd:[^\]]*\]: ")
TIMING: Final = re.compile(r" \(after \d+ms in state [A-Z0-9_]+(, \d+ identical error\(s\) suppressed)?\)")

_log = structlog.get_logger()
_lock = threading.Lock()
_failures: dict[str, tuple[float, str]] = {}


@dataclass
class Repeated:
    """When a line was last written, and how many equal ones came since then."""

    written_at: float
    since: int = 0


class Repetitions:
    """Which lines to write: the first of its kind, and then one every `REPEAT_SECONDS`."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], Repeated] = OrderedDict()

    def admit(self, service: str, line: str, now: float) -> int | None:
        """Return how many equal lines were left out before this one; None if this one is left out as well."""
        found = self._seen.get((service, line))
        if found is not None and now - found.written_at < REPEAT_SECONDS:
            found.since += 1
            return None
        self._seen[service, line] = Repeated(now)
        self._seen.move_to_end((service, line))
        if len(self._seen) > DIFFERENT_MAX:
            self._seen.popitem(last=False)
        return found.since if found is not None else 0


_repetitions = Repetitions()


class ClientLog:
    """What a client gets as its logger.

    Args:
        servers: the bootstrap address, which names the service.
        connections: whether to write lines on connections; False where the caller reports them.

    """

    def __init__(self, servers: str, *, connections: bool) -> None:
        self._service = f"Kafka at {servers}"
        self._servers = servers
        self._connections = connections

    def log(self, level: int, _form: str, facility: str, _client: str, text: str) -> None:
        """Take a line; the client calls this while it is polled. Nothing is written before logs are configured."""
        line = plain(text)
        if facility == CONNECTION:
            with _lock:
                _failures[self._servers] = (monotonic(), line)
        unwanted = OF_ANOTHER_KIND.search(line) or (facility in REPORTED and not self._connections)
        important = level >= WARNING or (facility == CONNECTION and FAILED_TRY.search(text))
        if not important or unwanted or not structlog.is_configured():
            return
        with _lock:
            before = _repetitions.admit(self._service, line, monotonic())
        if before is None:
            return
        if facility == CONNECTION:
            reason = f"{self._service} cannot be reached: {line}"
            _log.warning("retrying", reason=reason, attempt=before + 1, wait_seconds=REPEAT_SECONDS)
        else:
            _log.warning("Kafka client", service=self._service, facility=facility, line=line, repeated=before)


def last_failure(servers: str) -> str | None:
    """Return why a connection to this cluster failed last, if that was a moment ago."""
    with _lock:
        at, line = _failures.get(servers, (0.0, ""))
    return line if line and monotonic() - at < RECENT_SECONDS else None


def plain(text: str) -> str:
    """Leave out what differs between two lines on the same failure."""
    return TIMING.sub("", THREAD.sub("", text)).strip()
