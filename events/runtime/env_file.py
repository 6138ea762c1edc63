"""`.env` in the current folder: read only if nobody but the user or root can have written it.

A program is often started in a folder that another user created. Three rules apply to every program before any value of
the file is used:

1. The file, and the symbolic link if it is one, belongs to the user or to root, and no other user may write the file.
   Then a folder that others may write is no danger: they can only put files of their own there. The check is made on
   the open file that is then read, so replacing it in between has no effect.
2. It may not set what makes a client load a library or run a command, because a file that came with a checkout belongs
   to the user as well. Such properties can be set in the environment only.
3. Its values reach our settings only, never the process's environment: it cannot set `PG*` or `OPENSSL_CONF`.

It still decides which servers the programs connect to, and so which servers get the passwords: start the programs in a
folder that you trust.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from dotenv import dotenv_values

from events.runtime.errors import SettingError

NAME: Final = ".env"
OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
LOADS_CODE: Final = ("ssl.engine.", "ssl.providers", "sasl.kerberos.", "plugin.library.paths")
"""Prefixes of librdkafka properties: an OpenSSL engine or provider is a library; `sasl.kerberos.kinit.cmd` is run by a
shell, with the other Kerberos properties inserted unquoted."""
HIDDEN_IN_ADDRESS: Final = {"service", "servicefile", "sslkeylogfile"}
"""Options of libpq that read further options from a file, or write the connection's keys to one."""


@contextmanager
def trusted() -> Iterator[tuple[str | None, Mapping[str, str | None]]]:
    """Open the file; yield a path to the open file, and its values. Without a file, yield None and no values.

    Raises:
        SettingError: another user could have written it, or it cannot be read.

    """
    try:
        link, descriptor = _opened()
    except FileNotFoundError:
        yield None, {}
        return
    except OSError as error:
        raise SettingError(f"{NAME} cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):  # for example the folder of a virtual environment
            yield None, {}
            return
        _require_ours(link, status)
        values = _parsed(descriptor)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield f"/dev/fd/{descriptor}", values
    finally:
        os.close(descriptor)


def refuse_what_loads_code(values: Mapping[str, str | None], *, kafka_prefix: str, database: str) -> None:
    """Refuse values of the file that would load a library or run a command.

    Args:
        values: what the file sets, by name.
        kafka_prefix: the prefix of variables that set librdkafka properties.
        database: the variable of the database's address.

    Raises:
        SettingError: naming the variable.

    """
    for name, value in values.items():
        if name.startswith(kafka_prefix) and property_of(name, kafka_prefix).startswith(LOADS_CODE):
            raise SettingError(f"{NAME}: {name} loads a library or runs a command: set it in the environment only")
        if name == database and (option := _dangerous_option(value or "")):
            raise SettingError(f"{NAME}: {name} with the option {option}: set it in the environment only")


def property_of(name: str, kafka_prefix: str) -> str:
    """Return the librdkafka property that a variable sets."""
    return name.removeprefix(kafka_prefix).lower().replace("_", ".")


def _opened() -> tuple[os.stat_result, int]:
    """Open the file, and return the link's status, which is compared before and after opening."""
    before = os.lstat(NAME)
    descriptor = os.open(NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer must not block
    try:
        after = os.lstat(NAME)
    except OSError:
        os.close(descriptor)
        raise
    if (before.st_ino, before.st_ctime_ns) != (after.st_ino, after.st_ctime_ns):
        os.close(descriptor)
        raise SettingError(f"{NAME} was replaced while it was being read: start again")
    return before, descriptor


def _require_ours(link: os.stat_result, file: os.stat_result) -> None:
    others = {link.st_uid, file.st_uid} - {0, os.geteuid()}
    if others:
        owner = others.pop()
        raise SettingError(f"{NAME} belongs to user {owner}, neither to you nor to root: it is not read; remove it")
    if file.st_mode & OTHERS_MAY_WRITE:
        raise SettingError(
            f"{NAME} may be written by users other than its owner: check its content, then `chmod 600 {NAME}`"
        )


def _parsed(descriptor: int) -> Mapping[str, str | None]:
    try:
        with os.fdopen(os.dup(descriptor), encoding="utf-8") as file:
            return dotenv_values(stream=StringIO(file.read()))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{NAME} cannot be read: {error}") from None


def _dangerous_option(address: str) -> str | None:
    """Find an option of libpq that hides others or loads a library; invalid addresses are refused elsewhere."""
    try:
        options = parse_qsl(urlsplit(address).query)
    except ValueError:
        return None
    for name, value in options:
        if name in HIDDEN_IN_ADDRESS or (name == "sslkey" and ":" in value):  # ENGINE:KEY loads an engine
            return name
    return None
