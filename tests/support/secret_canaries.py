"""Secrets, and controls, that no program may ever print; what any prints in the whole suite is searched for them.

Each carries the same mark, so that a part of it, or a longer text around it, is recognised as well. Programs that the
fixtures run get one as a SASL password that no test broker asks for, and the real database password is looked for too.
"""

import secrets
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from sqlalchemy import make_url

MARK: Final = "Zx9mUm"  # in no word of ours, and the same in an address as in clear
GUESSABLE_BELOW: Final = 12  # characters: a developer's own "projector" is a word of every other line
MESSAGES_AS_THEY_ARE: Final = frozenset({"simulate", "--raw"})  # their output is bytes for a program

_found_elsewhere: set[str] = set()


def secret() -> str:
    """Make a secret."""
    return f"{MARK}{secrets.token_hex(6)}"


def watch_for(database_url: str) -> None:
    """Look for this address's password from now on, too."""
    password = make_url(database_url).password
    if password and len(password) >= GUESSABLE_BELOW:
        _found_elsewhere.add(password)


def leaks(*texts: str) -> list[str]:
    """Return the lines in which a secret stands, as it is or as an address writes it."""
    return [line for text in texts for line in text.splitlines() if _tells(line)]


def require_harmless(command: tuple[str, ...], *printed: str) -> None:
    """Fail where a program printed a secret, or what a terminal would obey, whatever the test is about."""
    found = leaks(*printed)
    assert not found, f"{command} printed a secret: {found}"
    if not MESSAGES_AS_THEY_ARE.intersection(command):
        obeyed = [line for text in printed for line in text.split("\n") if not line.isprintable()]
        assert not obeyed, f"{command} printed what is not printable: {obeyed}"


def _tells(line: str) -> bool:
    return any(mark in form for form in (line, unquote(line)) for mark in _marks())


def _marks() -> Iterable[str]:
    return (MARK, *_found_elsewhere)
