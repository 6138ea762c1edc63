"""A header's name may be any bytes: one that is no text stops nothing, and costs no event."""

import ctypes
import json
from typing import Any, Final

from confluent_kafka import cimpl

from events.contract.types import topic_of
from tests.support.deployment import Deployment
from tests.support.examples import invoice

BAD: Final = b"\xff\xfe"
TOPIC, VALUE, HEADERS = 1, 4, 10  # librdkafka's `rd_kafka_vtype_t`
EVENTS: Final = [json.dumps(invoice(n, 1, "1.00")) for n in range(1, 61)]
"""More than it takes for the interpreter to specialise the loop that reads them."""


class _Memory(ctypes.Structure):
    _fields_ = (("pointer", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Value(ctypes.Union):
    _fields_ = (
        ("text", ctypes.c_char_p), ("memory", _Memory), ("headers", ctypes.c_void_p), ("_", ctypes.c_char * 64)
    )  # fmt: skip


class _Part(ctypes.Structure):
    """librdkafka's `rd_kafka_vu_t`: one argument of a produce call."""

    _fields_ = (("kind", ctypes.c_int), ("value", _Value))


def test_a_name_that_is_no_text_stops_nothing(deployment: Deployment) -> None:
    topic = topic_of("invoices", deployment.settings.topic_prefix)
    _produce(deployment.settings.kafka_bootstrap_servers, topic, [line.encode() for line in EVENTS])
    deployment.catch_up()
    assert deployment.positions() == deployment.ends()
    assert not deployment.disagreement(EVENTS)
    assert deployment.sql("SELECT reason FROM dead_letters") == []


def _produce(servers: str, topic: str, values: list[bytes]) -> None:
    """Send with librdkafka itself: the client's own interface takes names as text only."""
    library = ctypes.CDLL(cimpl.__file__)
    for name in ("conf_new", "new", "headers_new", "produceva"):
        getattr(library, f"rd_kafka_{name}").restype = ctypes.c_void_p
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    configuration = library.rd_kafka_conf_new()
    set_to: Any = library.rd_kafka_conf_set
    assert set_to(pointer(configuration), b"bootstrap.servers", servers.encode(), None, size(0)) == 0
    producer = pointer(library.rd_kafka_new(0, pointer(configuration), None, size(0)))
    for value in values:
        headers = library.rd_kafka_headers_new(size(1))
        assert library.rd_kafka_header_add(pointer(headers), BAD, size(len(BAD)), b"v", size(1)) == 0
        parts = (_Part * 3)(_Part(TOPIC), _Part(VALUE), _Part(HEADERS))
        parts[0].value.text = topic.encode()
        parts[1].value.memory = _Memory(ctypes.cast(ctypes.c_char_p(value), pointer), len(value))
        parts[2].value.headers = headers
        assert library.rd_kafka_produceva(producer, parts, size(len(parts))) is None
    assert library.rd_kafka_flush(producer, 30_000) == 0
    library.rd_kafka_destroy(producer)
