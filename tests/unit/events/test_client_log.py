"""librdkafka's lines as ours: each failure once, then seldom; the last explains an error that names no cause."""

import logging
import select
import socket
import struct
import threading
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer
from structlog.testing import capture_logs

from events.runtime import advertised, client_log
from events.runtime.client_log import ClientLog, Repetitions, last_failure, plain
from events.runtime.errors import ServiceTemporarilyUnavailableError
from tests.conftest import WaitUntil

REFUSED = "127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused"
ADVERTISED = "inner:9092/1: Failed to resolve 'inner:9092': Name or service not known"
SERVERS = "127.0.0.1:9"
NO_LINGER = struct.pack("ii", 1, 0)  # closing sends RST


@pytest.fixture(autouse=True)
def _no_lines_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_log, "_repetitions", Repetitions())
    monkeypatch.setattr(client_log, "_failures", {})


def test_what_differs_between_two_tries_is_left_out() -> None:
    tries = [
        f"[thrd:127.0.0.1:9/bootstrap]: {REFUSED} (after 0ms in state CONNECT)",
        f"[thrd:127.0.0.1:9/bootstrap]: {REFUSED} (after 7122ms in state CONNECT, 30 identical error(s) suppressed)",
    ]
    assert {plain(each) for each in tries} == {REFUSED}


def test_the_first_of_a_kind_is_written_and_then_one_every_ten_seconds_with_a_count() -> None:
    lines = Repetitions()
    at = [0.0, 0.1, 5.0, 9.9, 10.0, 19.9, 40.0]
    assert [lines.admit("Kafka", REFUSED, now) for now in at] == [0, None, None, None, 3, None, 1]
    assert lines.admit("Kafka", ADVERTISED, 0.2) == 0
    assert lines.admit("another Kafka", REFUSED, 0.2) == 0


def test_what_is_remembered_has_a_limit() -> None:
    lines = Repetitions()
    for number in range(client_log.DIFFERENT_MAX + 1):
        assert lines.admit("Kafka", str(number), 1.0) == 0
    assert lines.admit("Kafka", "0", 2.0) == 0  # the oldest was forgotten
    assert lines.admit("Kafka", str(client_log.DIFFERENT_MAX), 2.0) is None


def _write(log: ClientLog, times: int, facility: str = "FAIL", text: str = REFUSED) -> None:
    for _ in range(times):
        log.log(logging.ERROR, "%s [%s] %s", facility, "rdkafka#producer-1", text)


def test_a_flood_is_one_line_that_names_the_service_and_the_wait() -> None:
    with capture_logs() as lines:
        _write(ClientLog(SERVERS, connections=True), 740)
        _write(ClientLog(SERVERS, connections=True), 80)  # another client of the same cluster
    assert lines == [
        {
            "event": "retrying",
            "reason": f"Kafka at {SERVERS} cannot be reached: {REFUSED}",
            "attempt": 1,
            "wait_seconds": client_log.REPEAT_SECONDS,
            "log_level": "warning",
        }
    ]


def test_who_reports_failures_gets_no_lines_on_them_but_on_everything_else() -> None:
    with capture_logs() as lines:
        log = ClientLog(SERVERS, connections=False)
        _write(log, 3)
        _write(log, 3, "SSL", "No matching issuer found")
        _write(log, 3, "CONFWARN", "Configuration property session.timeout.ms is deprecated")
        _write(log, 3, "CONFWARN", "session.timeout.ms is a consumer property and will be ignored by this producer")
        log.log(logging.INFO, "%s [%s] %s", "FETCH", "rdkafka#consumer-1", "fetching")
    assert [line["event"] for line in lines] == ["Kafka client"]
    assert last_failure(SERVERS) == REFUSED


def test_before_logs_are_configured_nothing_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    _write(ClientLog(SERVERS, connections=True), 3)
    assert capfd.readouterr() == ("", "")


def test_an_old_failure_explains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _write(ClientLog(SERVERS, connections=False), 1)
    assert last_failure("other:9092") is None
    later = time.monotonic() + client_log.RECENT_SECONDS + 1
    monkeypatch.setattr(client_log, "monotonic", lambda: later)
    assert last_failure(SERVERS) is None


def test_an_address_that_nobody_typed_is_one_that_a_broker_advertises() -> None:
    assert advertised.explain(SERVERS, None) == ""
    assert advertised.explain(SERVERS, REFUSED) == f" ({REFUSED})"
    own = f"{SERVERS}/1: Disconnected"
    assert advertised.explain(f"other:1, {SERVERS}", own) == f" ({own})"
    said = advertised.explain(SERVERS, ADVERTISED)
    assert ADVERTISED in said
    assert "set advertised.listeners" in said


def test_a_name_that_cannot_be_resolved_is_refused_with_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    advertised.require_resolvable(SERVERS, [("127.0.0.1", 9), ("localhost", 9)])
    with pytest.raises(ServiceTemporarilyUnavailableError, match=r"advertises broker\.invalid:9092, which .*listeners"):
        advertised.require_resolvable(SERVERS, [("127.0.0.1", 9), ("broker.invalid", 9092)])
    with pytest.raises(ServiceTemporarilyUnavailableError, match=r"advertises a\.\.b:9092"):
        advertised.require_resolvable(SERVERS, [("a..b", 9092)])
    monkeypatch.setattr(advertised, "RESOLVE_SECONDS", 0.01)
    release, wait = _never()
    monkeypatch.setattr(socket, "getaddrinfo", wait)
    with pytest.raises(ServiceTemporarilyUnavailableError, match=r"no answer within 0\.01 s"):
        advertised.require_resolvable(SERVERS, [("slow", 9092)])
    release()


def _never() -> tuple[Callable[[], None], Callable[..., list[object]]]:
    event = threading.Event()

    def wait(*_: object, **__: object) -> list[object]:
        event.wait(120)
        return []

    return event.set, wait


@pytest.mark.parametrize(
    ("state", "written"), [("APIVERSION_QUERY", 1), ("CONNECT", 1), ("AUTH_REQ", 1), ("UP", 0), ("UPDATE", 1)]
)
def test_a_connection_that_was_accepted_and_reset_is_a_failed_try_and_one_that_was_up_is_not(
    state: str, written: int
) -> None:
    text = f"127.0.0.1:9/bootstrap: Disconnected: connection reset by peer (after 1ms in state {state})"
    with capture_logs() as lines:
        ClientLog(SERVERS, connections=True).log(logging.INFO, "%s [%s] %s", "FAIL", "rdkafka#producer-1", text)
        ClientLog(SERVERS, connections=True).log(logging.INFO, "%s [%s] %s", "CONNECTED", "rdkafka#producer-1", text)
    assert len(lines) == written


def test_an_address_that_accepts_connections_and_resets_them_is_told(wait_until: WaitUntil) -> None:
    """As a load balancer without a broker behind it does; librdkafka calls that information, and no failure."""
    ended = threading.Event()

    def reset(server: socket.socket) -> None:
        while not ended.is_set():
            connection, _ = server.accept()
            select.select([connection], [], [], 120)  # until the client has sent its first request
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server, capture_logs() as lines:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=reset, args=[server], daemon=True).start()
        log = ClientLog(address, connections=True)
        producer = Producer({"bootstrap.servers": address}, logger=log)
        wait_until(lambda: producer.poll(0.1) >= 0 and bool(lines), what="a line")
        ended.set()
    assert lines[0]["event"] == "retrying"
    assert lines[0]["reason"].startswith(f"Kafka at {address} cannot be reached: ")
