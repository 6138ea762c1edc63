"""Messages as an evil producer would write them, one for each number: a case is a seed, and a million are cheap.

About a third are sound, of so few entities, versions and ids that they meet, and that equal ones differ in content. The
others are spoilt once or more: a member that is none, a member twice, bytes that are no text, headers that lie. Seed 0
is a sound event, so that a failing list shrinks to the seeds that matter.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from events.contract.cloudevents import STRUCTURED_HEADERS
from events.contract.decode import Headers
from events.contract.types import ENTITIES, TYPES, Message, topic_of
from tests.support.examples import CloudEvent, invoice

SOUND: Final = 0.35
HUGE: Final = 0.004  # so often that each long run meets some; each is slow
EDGE: Final = 2**63 - 1

KEYS: Final = (1, 2, 3, 4, 5, EDGE)
VERSIONS: Final = (1, 1, 2, 3, EDGE)
IDS: Final = ("a", "b", "é", "\U0001f600", "\\N", "\t", "x" * 1000)
WHOLE: Final = (0, -1, 1, 2**31, 2**53 + 1, EDGE, EDGE + 1, 2**64, -(2**63), 10**30, 1.0, 1e308, True, "1", None)
MONEY: Final = (
    "0.00", "-0.00", "0.01", "-9999999999999999.99", "10000000000000000", "1e5", "NaN", "Infinity", "1,00", "٣.00",
    "1.000", " 1.00", "1.00\n", "1.", ".5", "+1", "", 12.5, 100, None,
)  # fmt: skip
DAYS: Final = (
    "0001-01-01", "9999-12-31", "10000-01-01", "0000-01-01", "-0001-01-01", "0044-03-15 BC", "294276-12-31",
    "5874897-12-31", "infinity", "-infinity", "2024-02-29", "2023-02-29", "2026-02-30", "today", "20260131",
    1_767_225_600, None,
)  # fmt: skip
INSTANTS: Final = (
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-12:00",
    "294276-12-31T23:59:59Z", "4713-01-01T00:00:00Z BC", "infinity", "2026-01-01T00:00:00", "2026-12-31T23:59:60Z",
    "2026-01-01T24:00:00Z", "2026-01-01T00:00:00+99:99", "2026-01-01T00:00:00.123456789Z", "2026-01-01 00:00Z", 0, None,
)  # fmt: skip
TEXTS: Final[Sequence[Any]] = (
    "", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "x" * 1000, "x" * 1001, "\\N", "\\.", "\t\n\r\\", "\u202e",
    "\ufffe", "\U0010ffff", "=1+1", "'; DROP TABLE invoices; --", "\x1b[2J", 5, [], {}, None,
)  # fmt: skip
CURRENCIES: Final = ("USD", "kes", "KE", "KESS", "KEŞ", "", 404, None)
LINES: Final[Sequence[Any]] = (
    [], [{"type": "BALANCE", "amount": "1.00"}], [{"type": "\x00", "amount": "1.00"}], [{"type": "W"}], [None], {},
    "[]", [{"type": "W", "amount": 1.5}], [{"type": "\\N\t", "amount": "-0.10", "more": [1e300]}] * 3,
)  # fmt: skip
TYPE_NAMES: Final = (*TYPES, "billing.invoice.forgiven", "BILLING.INVOICE.ISSUED", "", "\x00", None, 7)
EDGES: Final[dict[str, Sequence[Any]]] = {
    **dict.fromkeys(("invoice_id", "payment_id", "assignment_id", "customer_id", "meter_id", "version"), WHOLE),
    **dict.fromkeys(("amount", "balance_brought_forward"), MONEY),
    **dict.fromkeys(("invoice_date", "due_date"), DAYS),
    **dict.fromkeys(("paid_at", "assigned_at", "unassigned_at"), INSTANTS),
    **dict.fromkeys(("id", "source", "name", "method", "reference", "invoice_number"), TEXTS),
    "currency": CURRENCIES,
    "lines": LINES,
    "type": TYPE_NAMES,
    "specversion": ("0.3", "1", 1.0, None),
    "data": (None, [], "{}", 0),
    "data_base64": ("e30=", None, 1),
    "datacontenttype": ("application/json", "text/plain", "application/x+JSON; charset=utf-8", "\x00", None),
    "unheard-of": (*WHOLE, *TEXTS),
}
"""For each member, values at the edge of what it may be, and beyond."""
JUNK: Final = (
    b"", b"\x00", b"null", b"[]", b"{}", b"0", b'"', b"\xff\xfe", b"\xef\xbb\xbf{}", b"{" * 9, b"NaN", b"-Infinity",
    b"[" * 50_000, b"[" * 500 + b"]" * 500, b'{"a":' * 500 + b"1" + b"}" * 500, b"1" * 5_000, b"\xed\xa0\x80",
)  # fmt: skip
KEYS_OF_MESSAGES: Final = (None, b"", b"1", b"\x00\xff", b"k" * 2_000)
HEADERS: Final[tuple[Headers, ...]] = (
    (),
    (("content-type", None),),
    (("content-type", b"\xff"),),
    (("content-type", b"application/json"), ("ce_id", b"\x00"), ("ce_specversion", b"1.0")),
    (("ce_id", b"a"), ("ce_id", b"b")),
    (("ce_type", b"billing.invoice.issued"), ("ce_source", b"/"), ("ce_specversion", b"1.0"), ("ce_id", b"a")),
    (("", b""), ("x" * 300, None), ("é\U0001f600", b"\x00\xff")),
    (("CE_ID", b"\xc3\x28"), ("Content-Type", b"APPLICATION/CLOUDEVENTS+JSON ; charset=x")),
)


def message(seed: int, *, topic_prefix: str, partition: int = 0, offset: int = 0) -> Message:
    """Write the message of a seed."""
    rnd = Random(seed)
    event = _event(rnd) if seed else invoice(1, 1, "1.00")
    topic = topic_of(TYPES[event["type"]], topic_prefix)
    key, value = None, _json(event)
    headers: Headers = STRUCTURED_HEADERS
    if seed and rnd.random() > SOUND:
        for _ in range(rnd.choice((1, 1, 1, 2, 3))):
            value = rnd.choice(SPOILING)(rnd, value)
        if rnd.random() < 0.2:  # the spoilt and the sound alike
            headers = rnd.choice(HEADERS)
        topic = topic if rnd.random() > 0.02 else topic_of(rnd.choice(ENTITIES), topic_prefix)
        key = rnd.choice(KEYS_OF_MESSAGES)
    elif seed and rnd.random() < 0.3:
        headers, value = _binary(event)
    gone = seed and rnd.random() < 0.01
    return Message(topic, partition, offset, rnd.choice((-1, 0, EDGE)), key, None if gone else value, headers)


def _event(rnd: Random) -> CloudEvent:
    """Write a sound event that meets others."""
    event_type = rnd.choice(tuple(TYPES))
    kind = event_type.split(".")[1]
    data: dict[str, Any] = {"version": rnd.choice(VERSIONS)}
    if kind == "invoice":
        data |= {"invoice_id": rnd.choice(KEYS), "currency": "KES", "invoice_date": rnd.choice(DAYS[:2])}
        data |= {"meter_id": rnd.choice((*KEYS, None)), "amount": rnd.choice(("1.00", "-0.5", "100"))}
        data |= rnd.choice(({}, {"lines": LINES[1]}, {"due_date": DAYS[1], "balance_brought_forward": "5.00"}))
        if rnd.random() < HUGE:
            data["amount"] = "9999999999999999.99"
    elif kind == "payment":
        data |= {"payment_id": rnd.choice(KEYS), "currency": "KES", "paid_at": rnd.choice((INSTANTS[0], INSTANTS[2]))}
        data |= {"amount": rnd.choice(("1.00", "0.01")), "meter_id": rnd.choice((*KEYS, None, None))}
        data |= {"invoice_id": rnd.choice((*KEYS, None)), "method": rnd.choice(("mpesa", "\\N\t\\", ""))}
    elif kind == "meter":
        data |= {"assignment_id": rnd.choice(KEYS), "meter_id": rnd.choice(KEYS), "customer_id": rnd.choice(KEYS)}
        data |= {"assigned_at": rnd.choice(("2026-01-01T00:00:00Z", INSTANTS[2])), "unassigned_at": None}
    else:
        data |= {"customer_id": rnd.choice(KEYS), "name": rnd.choice(("Asha", "\\.", "\u202e"))}
    return {"specversion": "1.0", "id": rnd.choice(IDS), "source": "/evil", "type": event_type, "data": data}


def _json(value: object) -> bytes:
    """Write JSON; characters that are none, such as half a surrogate pair, as escapes."""
    return json.dumps(value).encode()


def _binary(event: CloudEvent) -> tuple[Headers, bytes]:
    attributes = [(f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "data"]
    return tuple(attributes), _json(event["data"])


def _replace_member(rnd: Random, value: bytes) -> bytes:
    """Give one member, of the event or of its data, a value from the edges; or take it away."""
    try:
        event = json.loads(value)
    except (ValueError, RecursionError):
        return value
    within = event.get("data") if isinstance(event, dict) and rnd.random() < 0.8 else event
    if not isinstance(within, dict) or not within:
        return value
    name = rnd.choice((*within, *within, "unheard-of", "due_date", "lines", "meter_id"))
    if rnd.random() < 0.15:
        within.pop(name, None)
    else:
        within[name] = rnd.choice(EDGES.get(name, TEXTS))
    return _json(event)


def _repeat_member(rnd: Random, value: bytes) -> bytes:
    """Write a member twice."""
    at = rnd.choice([at for at, byte in enumerate(value) if byte in b"{,"] or [0]) + 1
    name = rnd.choice((b'"version"', b'"id"', b'"amount"', b'"type"', b'"data"', b'"\\u0069d"', b'"x"'))
    return value[:at] + name + rnd.choice((b":1,", b" : null,", b':"a",', b":{},")) + value[at:]


def _damage(rnd: Random, value: bytes) -> bytes:
    """Overwrite, cut out or put in a few bytes anywhere."""
    at = rnd.randrange(len(value) + 1)
    return (
        value[:at] + rnd.choice((rnd.randbytes(3), b"\x00", b"\xff", b"\\u0000", b"")) + value[at + rnd.randrange(4) :]
    )


def _cut_off(rnd: Random, value: bytes) -> bytes:
    return value[: rnd.randrange(len(value) + 1)]


def _enlarge(rnd: Random, value: bytes) -> bytes:
    """Put in something enormous, now and then."""
    if rnd.random() > HUGE:
        return value
    great = rnd.choice((b'"' + b"x" * 300_000 + b'"', b"[" * 10_000 + b"]" * 10_000, b"9" * 100_000, b'["",' * 5_000))
    return value.replace(b"{", b'{"unheard-of": ' + great + b",", 1)


def _junk(rnd: Random, _value: bytes) -> bytes:
    return rnd.choice(JUNK)


SPOILING: Final[tuple[Callable[[Random, bytes], bytes], ...]] = (
    *(_replace_member,) * 6,
    _repeat_member,
    _damage,
    _damage,
    _cut_off,
    _enlarge,
    _junk,
)
