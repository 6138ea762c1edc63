"""Unforeseen exceptions, reported so that they can be fixed: one structured log line with the traceback and no secret.

The frames of a traceback are our own source. An exception's text is not: drivers put addresses, values and statements
into it. A text that contains any secret of this deployment is left out as a whole.
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
PARTS: Final = re.compile(r"[/:@?&=,;\s]+")  # separators of the parts of an address, each of which may be a password
DATABASE: Final = re.compile(r"postgres(ql)?(\+\w+)?://[^@/?#]*@[\w.,:-]*(/\w*)?(\?[^@]*)?")
MISTYPED: Final = 8  # a property's value of this length may be a password under a mistyped name
GUESSABLE_BELOW: Final = 4  # shorter parts of an address, such as a port, are no password
TEXT_MAX: Final = 300  # characters of an exception's text in the line for people
LEFT_OUT: Final = "(its text contains a secret and is left out)"


def record(program: str, error: BaseException) -> str:
    """Log a defect with its traceback on standard error; return a description in one line."""
    logs.configure_if_needed()
    secrets = set(known_secrets())
    failure = TracebackException.from_exception(error)
    description = " ".join(printable(_describe(failure, secrets)).split())[:TEXT_MAX]
    traceback = printable(_format(failure, secrets))
    structlog.get_logger().error("defect", program=program, error=description, exception=traceback)
    return description


def known_secrets() -> Iterator[str]:
    """Yield what may be a secret: parts of addresses, and the values of variables whose names suggest a password."""
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
    """Return the settings that may be secret, from whatever source; none if settings were never read."""
    if not load.cache_info().currsize:
        return {}
    settings = load()
    kafka = {f"{KAFKA_PREFIX}{name.upper()}": value for name, value in settings.kafka.items()}
    found = (settings.database_url.get_secret_value(), settings.alerts.get_secret_value())
    return {**kafka, **dict(zip(ADDRESSES, found, strict=True))}


def _of_address(address: str) -> Iterable[str]:
    """Return the password and options of a database's address, and every part of any other address."""
    if not DATABASE.fullmatch(address):
        return _parts(address)
    parts = urlsplit(address)
    password = parts.password or ""
    return [*filter(None, (password, unquote(password))), *_parts(parts.query)]


def _parts(address: str) -> Iterable[str]:
    parts = [part for part in PARTS.split(address) if len(part) >= GUESSABLE_BELOW]
    return (*parts, *map(unquote, parts))


def _format(failure: TracebackException, secrets: set[str]) -> str:
    """Write a traceback with its causes, the first cause first, as Python does."""
    earlier = failure.__cause__ or (None if failure.__suppress_context__ else failure.__context__)
    why = "caused" if failure.__cause__ else "was being handled when the next one was raised"
    before = f"{_format(earlier, secrets)}\n(the above {why})\n" if earlier else ""
    within = "".join(f"\n(one of a group)\n{_format(each, secrets)}" for each in failure.exceptions or ())
    frames = "".join(failure.stack.format())
    return f"{before}Traceback (most recent call last):\n{frames}{_describe(failure, secrets)}{within}"


def _describe(failure: TracebackException, secrets: set[str]) -> str:
    """Write an exception's class, and its text unless that contains a secret."""
    text = "".join(failure.format_exception_only()).strip()
    if not any(secret in text for secret in secrets):
        return text
    kind = getattr(failure, "exc_type_str", None) or getattr(failure.exc_type, "__name__", "exception")
    return f"{kind} {LEFT_OUT}"
