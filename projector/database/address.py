"""The database's address: PostgreSQL's client parses it and is handed all of it; what is shown of it holds no secret.

`PROJECTOR_DATABASE_URL` is a connection URI of libpq (PostgreSQL manual, 32.1.1.2): several hosts and every parameter
that libpq knows may stand in it. Nothing of it is dropped: a parameter that each program decides itself is refused, and
the settings in `options` are merged with those that `projector.database.connections` pins, or refused where they
differ.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from events.runtime.errors import SettingError
from events.runtime.settings import Settings, required, variable
from projector.database.session_settings import PINNED, SEARCH_PATH

NAME: Final = variable("database_url")
SCHEMES: Final = ("postgresql://", "postgres://", "postgresql+psycopg://")
"""What an address begins with; the last is how SQLAlchemy writes the first."""
USER_INFORMATION_ENDS: Final = re.compile(r"[/?#]")
EXAMPLE: Final = "postgresql://user@host:5432/name"
OWN: Final[Mapping[str, str]] = {
    "application_name": "each program gives its own, by which `projector deployment set` finds those that run",
    "client_encoding": "it is always UTF8",
    "replication": "no program replicates",
}
"""Parameters of libpq that are refused in the address, and why."""
OPTION: Final = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)=((?:\\.|\S)*)(?:\s+|$)")
PORT_MAX: Final = 65_535
INTEGERS: Final = (
    "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
)  # fmt: skip
"""Parameters of libpq whose value is an integer; only connecting would refuse another, whatever the program does."""


class Address(NamedTuple):
    """An address as libpq reads it.

    `parameters` are libpq's, without `options`; `asked` are the session settings of `options`, by name; `place` is
    host, port and database for a person, without user and password.
    """

    parameters: Mapping[str, str]
    asked: Mapping[str, str]
    place: str


def read_address(settings: Settings) -> Address:
    """Read the deployment's address.

    Raises:
        SettingError: it is missing, it is none, or something in it cannot be honoured; no part of it that could be a
            password is quoted.

    """
    given = required(settings, "database_url")
    scheme = next((each for each in SCHEMES if given.startswith(each)), None)
    if scheme is None:
        what = "the scheme has to be postgresql://" if "://" in given else f"it is no address like {EXAMPLE}"
        raise SettingError(f"{NAME}: {what}")
    rest = given.removeprefix(scheme)
    _refuse_ambiguous(rest)
    _refuse_unknown_parameters(rest)
    try:
        parsed = conninfo_to_dict(SCHEMES[0] + rest)
    except psycopg.ProgrammingError as error:
        if "key/value separator" in str(error):
            raise SettingError(f"{NAME}: write each parameter as name=value, with = in its value as %3D") from None
        raise SettingError(f"{NAME}: it is no address like {EXAMPLE}") from None
    parameters = {name: str(value) for name, value in parsed.items()}
    for name, why in OWN.items():
        if name in parameters:
            raise SettingError(f"{NAME}: leave {name} out: {why}")
    for name in INTEGERS:
        if not re.fullmatch(r"-?[0-9]{1,9}", parameters.get(name, "0")):
            raise SettingError(f"{NAME}: {name} has to be an integer")
    _require_ports(parameters.get("port", ""))
    asked = _asked(parameters.pop("options", ""))
    return Address(parameters, asked, _place(parameters))


def address(settings: Settings) -> str:
    """Write where the database is, without user and password."""
    return read_address(settings).place


def _refuse_ambiguous(rest: str) -> None:
    """Refuse a user name or password with characters that end it: its rest would be shown as a host or a name."""
    end = USER_INFORMATION_ENDS.search(rest)
    authority = rest[: end.start()] if end else rest
    if rest.count("@") > authority.count("@") or authority.count("@") > 1:
        raise SettingError(f"{NAME}: in a user name or password, write @ as %40, / as %2F, ? as %3F and # as %23")


def parameter_names() -> list[str]:
    """List the parameters that libpq knows."""
    return sorted(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def _refuse_unknown_parameters(rest: str) -> None:
    known = [*parameter_names(), "ssl"]
    for name, _ in parse_qsl(rest.partition("?")[2], keep_blank_values=True):
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise SettingError(f"{NAME}: PostgreSQL's client has no option {name!r}{meant}")


def _require_ports(ports: str) -> None:
    for port in filter(None, ports.split(",")):
        if not (port.isascii() and port.isdecimal() and 0 < int(port) <= PORT_MAX):
            raise SettingError(f"{NAME}: a port is a number from 1 to {PORT_MAX:,}")


def _asked(options: str) -> dict[str, str]:
    """Read libpq's `options`; return the settings in them that are not pinned anyway.

    Raises:
        SettingError: something else than settings stands there, or one differs from what every connection has.

    """
    asked = {}
    position = len(options) - len(options.lstrip())
    while position < len(options):
        found = OPTION.match(options, position)
        if found is None:
            raise SettingError(f"{NAME}: options may hold settings only, each as -c NAME=VALUE")
        asked[found[1].replace("-", "_")] = re.sub(r"\\(.)", r"\1", found[2])
        position = found.end()
    return {name: value for name, value in asked.items() if not _is_pinned(name, value)}


def _is_pinned(name: str, value: str) -> bool:
    pins = {each.lower(): (each, pin) for each, pin in PINNED.items()}
    if name.lower() not in pins:
        return False
    canonical, pin = pins[name.lower()]
    if canonical == SEARCH_PATH:
        raise SettingError(f"{NAME}: leave {SEARCH_PATH} out of options: PROJECTOR_SCHEMA says which schema")
    if value in pin.also:
        return False
    if value.lower() != pin.value.lower():
        raise SettingError(f"{NAME}: {canonical} has to be '{pin.value}', or {pin.why}; leave it out of options")
    return True


def _place(parameters: Mapping[str, str]) -> str:
    if service := parameters.get("service"):
        return f"service {service}"
    hosts = (parameters.get("host") or parameters.get("hostaddr") or "localhost").split(",")
    ports = (parameters.get("port") or "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    where = ",".join(f"{host or 'localhost'}:{port or 5432}" for host, port in zip(hosts, ports, strict=False))
    return f"{where}/{parameters.get('dbname', '')}"
