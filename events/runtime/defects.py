"""What nobody foresaw, told so that it can be mended: one structured log line with the traceback, and no secret in it.

A traceback's frames are our own source. An exception's text is not: drivers put addresses, values and statements into
theirs. A text in which any secret of this deployment stands is left out as a whole.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from traceback import TracebackException
from typing import Final
from urllib.parse import unquote, urlsplit

import structlog

from events.runtime import logs
from events.runtime.console import printable
from events.runtime.settings import KAFKA_PREFIX, load

ADDRESSES: Final = ("PROJECTOR_DATABASE_URL", "PROJECTOR_ALERTS")
PASSWORDS: Final = re.compile("PASS|SECRET|TOKEN|KEY|JAAS|OAUTH|CREDENTIAL")
PARTS: Final = re.compile(r"[/:@?&=,;\s]+")  # between the parts of an address, any of which may be a password
DATABASE: Final = re.compile(r"postgres(ql)?(\+\w+)?://[^@/?#]*@[\w.,:-]*(/\w*)?(\?[^@]*)?")
MISTYPED: Final = 8  # characters from which on a property's value may be a password under a mistyped name
GUESSABLE_BELOW: Final = 4  # characters of a part that is no password by its name: a port, a scheme's end
SAID_MAX: Final = 300  # characters of an exception's text in the line for people
LEFT_OUT: Final = "(its text holds a secret and is left out)"


def record(program: str, error: BaseException) -> str:
    """Log a defect with its traceback on standard error; return what it was, in one line."""
    logs.configure_anyhow()
    secrets = set(known_secrets())
    told = TracebackException.from_exception(error)
    said = " ".join(printable(_named(told, secrets)).split())[:SAID_MAX]
    structlog.get_logger().error("defect", program=program, error=said, exception=printable(_written(told, secrets)))
    return said


def known_secrets() -> Iterator[str]:
    """Yield whatever may be a secret: the parts of addresses, and passwords by the names of their variables."""
    for name, value in {**os.environ, **_loaded()}.items():
        ours = name.startswith(("PROJECTOR_", "PG"))
        if ours and value and (PASSWORDS.search(name) or (name.startswith(KAFKA_PREFIX) and len(value) >= MISTYPED)):
            yield value
        elif name in ADDRESSES:
            yield from _of_address(value)
    for argument in sys.argv[1:]:  # --alert ADDRESS
        if "://" in argument:
            yield from _of_address(argument)


def _loaded() -> dict[str, str]:
    """Return what of the settings may be secret, wherever they were read from; nothing where they never were."""
    if not load.cache_info().currsize:
        return {}
    settings = load()
    kafka = {f"{KAFKA_PREFIX}{name.upper()}": value for name, value in settings.kafka.items()}
    found = (settings.database_url.get_secret_value(), settings.alerts.get_secret_value())
    return {**kafka, **dict(zip(ADDRESSES, found, strict=True))}


def _of_address(address: str) -> Iterable[str]:
    """Take a database's password and options out of its address, and every part of any other address."""
    if not DATABASE.fullmatch(address):
        return _parts(address)
    parts = urlsplit(address)
    password = parts.password or ""
    return [*filter(None, (password, unquote(password))), *_parts(parts.query)]


def _parts(address: str) -> Iterable[str]:
    parts = [part for part in PARTS.split(address) if len(part) >= GUESSABLE_BELOW]
    return (*parts, *map(unquote, parts))


def _written(told: TracebackException, secrets: set[str]) -> str:
    """Write a traceback with those that led to it, the first cause first, as Python does."""
    earlier = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
    why = "caused" if told.__cause__ else "was being handled when the next one was raised"
    before = f"{_written(earlier, secrets)}\n(the above {why})\n" if earlier else ""
    within = "".join(f"\n(one of a group)\n{_written(each, secrets)}" for each in told.exceptions or ())
    return f"{before}Traceback (most recent call last):\n{''.join(told.stack.format())}{_named(told, secrets)}{within}"


def _named(told: TracebackException, secrets: set[str]) -> str:
    """Write an exception's class and its text, if that holds no secret."""
    text = "".join(told.format_exception_only()).strip()
    if not any(secret in text for secret in secrets):
        return text
    kind = getattr(told, "exc_type_str", None) or getattr(told.exc_type, "__name__", "exception")
    return f"{kind} {LEFT_OUT}"
