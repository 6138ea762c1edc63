"""Broken events of many kinds, each made from a valid event; the contract refuses all of them."""

import re
from collections.abc import Callable
from typing import Final

from events.simulate.render import Sent

Break = Callable[[bytes], bytes]


def _member(name: str, value: bytes) -> Break:
    """Replace a member's value, which is a number or a string."""
    pattern = re.compile(b'"%s":("[^"]*"|[0-9]+)' % name.encode())
    return lambda line: pattern.sub(lambda _: b'"%s":%s' % (name.encode(), value), line, count=1)


def _without(name: str) -> Break:
    pattern = re.compile(b'"%s":("[^"]*"|[0-9]+),' % name.encode())
    return lambda line: pattern.sub(b"", line, count=1)


BREAKS: Final[dict[str, Break]] = {
    "not UTF-8": lambda line: b"\xff\xfe" + line,
    "not JSON": lambda _: b"the billing system is down for maintenance",
    "cut off": lambda line: line[: len(line) * 2 // 3],
    "an array": lambda line: b"[" + line + b"]",
    "an empty object": lambda _: b"{}",
    "nested too deeply": lambda _: b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "no id": _without("id"),
    "an empty id": _member("id", b'""'),
    "no source": _without("source"),
    "an old specversion": _member("specversion", b'"0.3"'),
    "an unknown type": _member("type", b'"billing.invoice.forgotten"'),
    "no data": lambda line: line.partition(b',"data":')[0] + b"}",
    "data that is text": lambda line: line.partition(b'"data":')[0] + b'"data":"later"}',
    "data in base64": lambda line: line.replace(b'"data":', b'"data_base64":"e30=","data":', 1),
    "data that is XML": _member("datacontenttype", b'"application/xml"'),
    "no version": _without("version"),
    "a version of zero": _member("version", b"0"),
    "a version that is true": _member("version", b"true"),
    "a version in quotes": _member("version", b'"1"'),
    "a version with a point": _member("version", b"1.0"),
    "a version beyond 64 bits": _member("version", b"9223372036854775808"),
    "a version that is NaN": _member("version", b"NaN"),
    "a version given twice": lambda line: line.replace(b'"version":', b'"version":7,"version":', 1),
    "a NUL in the id": _member("id", b'"a\\u0000b"'),
    "half a surrogate pair": _member("id", b'"\\ud83d"'),
}
"""Ways to break any event."""

MONEY_BREAKS: Final[dict[str, Break]] = {
    "an amount that is a number": _member("amount", b"1250.5"),
    "an amount of three decimals": _member("amount", b'"12.505"'),
    "an amount with a thousands comma": _member("amount", b'"1,250.00"'),
    "an amount in words": _member("amount", b'"a lot"'),
    "an amount too long": _member("amount", b'"12345678901234567.00"'),
    "another currency": _member("currency", b'"XTS"'),
}
PAYMENT_BREAKS: Final[dict[str, Break]] = {
    "a payment of nothing": _member("amount", b'"0.00"'),
    "a negative payment": _member("amount", b'"-5.00"'),
    "a time without an offset": _member("paid_at", b'"2026-01-31T08:00:00"'),
    "a time that is a number": _member("paid_at", b"1769835600"),
}
KINDS: Final[dict[str, tuple[Break, ...]]] = {
    "customers": tuple(BREAKS.values()),
    "assignments": tuple(BREAKS.values()),
    "invoices": tuple({**BREAKS, **MONEY_BREAKS}.values()),
    "payments": tuple({**BREAKS, **MONEY_BREAKS, **PAYMENT_BREAKS}.values()),
}


def poisoned(sent: Sent, draw: float) -> Sent:
    """Break an event; a number between 0 and 1 chooses the way."""
    kinds = KINDS[sent.entity]
    return sent._replace(line=kinds[int(draw * len(kinds))](sent.line))
