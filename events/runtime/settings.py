"""The deployment's settings: environment variables `PROJECTOR_*` and `.env`, for all three programs."""

import os
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.runtime import env_file
from events.runtime.errors import SettingError

PREFIX = "PROJECTOR_"
KAFKA_PREFIX = f"{PREFIX}KAFKA__"
PORT_MAX = 65_535
LOOPBACK = "127.0.0.1"
NUMBERS = {"int_parsing": "must be a whole number", "float_parsing": "must be a number"}
"""What pydantic says of a number in more words."""
NEAR_CITY = 0.75  # likeness of the last parts of time zones
NEAR = 0.85  # likeness of names, of which all begin alike; a typing mistake leaves more


FINER_CURRENCIES = frozenset({"BHD", "CLF", "IQD", "JOD", "KWD", "LYD", "OMR", "TND", "UYW"})
"""Currencies with three or four digits after the point (ISO 4217, list one); amounts of events have two at most."""


def _two_digits_suffice(currency: str) -> str:
    if currency in FINER_CURRENCIES:
        raise ValueError(f"{currency} has more than two digits after the point, and amounts here have two at most")
    return currency


def _free_schema_name(name: str) -> str:
    if name.startswith("pg_") or name == "information_schema":
        raise ValueError(f"PostgreSQL reserves the name {name}: choose another")
    return name


def _listening_address(text: str) -> str:
    """Accept `host:port`, `[IPv6]:port`, or a port alone, which is one of loopback."""
    host_and_port(text)
    return text


def _web_address(secret: SecretStr) -> SecretStr:
    """Accept an http or https address with a host; the message holds nothing of it, because all of it may be secret."""
    text = secret.get_secret_value()
    try:
        address = urlsplit(text)
        sound = address.scheme in {"http", "https"} and address.hostname and (address.port or 1) and text.isprintable()
    except ValueError:
        sound = False
    if text and not (sound and " " not in text):
        raise ValueError("is not a web address such as https://example.org/path")
    return secret


def host_and_port(text: str) -> tuple[str, int] | None:
    """Split an address to listen on; None if there is none.

    Raises:
        ValueError: it is no such address.

    """
    if not text:
        return None
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not port.isascii() or not port.isdigit() or int(port) > PORT_MAX or (":" in host) != text.startswith("["):
        raise ValueError("is not host:port, such as 127.0.0.1:9464")
    return host or LOOPBACK, int(port)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        cities = {zone.rpartition("/")[2]: zone for zone in sorted(available_timezones())}
        near = get_close_matches(name.rpartition("/")[2].title(), cities, n=1, cutoff=NEAR_CITY)
        hint = f"did you mean {cities[near[0]]}?" if near else "one is Africa/Nairobi"
        raise ValueError(f"{name!r} is not an IANA time zone: {hint}") from error
    return name


class Settings(BaseSettings):
    """The settings; each field is the variable `PROJECTOR_` followed by its name in capitals.

    `kafka` holds librdkafka properties: `PROJECTOR_KAFKA__SECURITY_PROTOCOL` is `security.protocol`.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True)

    database_url: SecretStr = Field(SecretStr(""), description="as postgresql://user:password@host:port/name")
    kafka_bootstrap_servers: str = Field("", description="Kafka brokers, as host:port[,host:port]")
    group_id: str = Field("projector", min_length=1, description="consumer group, and the owner of the positions")
    schema_name: Annotated[str, AfterValidator(_free_schema_name)] = Field(
        "billing", alias="PROJECTOR_SCHEMA", pattern=r"^[a-z_][a-z0-9_]{0,52}$", description="PostgreSQL schema"
    )
    currency: Annotated[str, AfterValidator(_two_digits_suffice)] = Field(
        "KES", pattern=r"^[A-Z]{3}$", description="ISO 4217 code; events in another are refused"
    )
    timezone: Annotated[str, AfterValidator(_known_zone)] = Field(
        "Africa/Nairobi", description="IANA time zone that defines the business day"
    )
    topic_prefix: str = Field(
        "billing", pattern=r"^[a-zA-Z0-9._-]{1,200}$", description="topics are PREFIX.invoices, ..."
    )
    topic_partitions: int = Field(6, ge=1, le=1000, description="partitions of a topic that `projector init` creates")
    topic_replication: int = Field(1, ge=1, le=10, description="replicas of a topic that `projector init` creates")
    batch_events_max: int = Field(20_000, ge=1, le=200_000, description="maximum number of events in one transaction")
    batch_bytes_max: int = Field(
        16 << 20, ge=1 << 10, le=1 << 30, description="maximum number of raw bytes in one transaction"
    )
    refused_run_max: int = Field(
        1000, ge=0, description="most refused messages in a row before a consumer stops; 0 is no limit"
    )
    refused_share_max: float = Field(
        0.5,
        ge=0,
        le=1,
        description="highest share of refused messages among the last 10,000 before a consumer stops; 1 is no limit",
    )
    alerts: SecretStr = Field(
        SecretStr(""), description="where drift alerts go, comma separated: apprise addresses, kafka:, stdout:"
    )
    heartbeat_url: Annotated[SecretStr, AfterValidator(_web_address)] = Field(
        SecretStr(""),
        description="web address that is asked for when a drift check of everything has ended well, so that a service "
        "elsewhere notices when none does",
    )
    metrics_address: Annotated[str, AfterValidator(_listening_address)] = Field(
        "",
        description="where metrics and health checks are served, as host:port, or as a port of loopback; empty is "
        "nowhere",
    )
    traces_url: Annotated[SecretStr, AfterValidator(_web_address)] = Field(
        SecretStr(""),
        description="web address that a consumer sends traces to, as OTLP over HTTP; empty is nowhere; needs the extra "
        "`tracing`",
    )
    shutdown_seconds: float = Field(
        20.0,
        gt=0,
        description="time budget for draining on SIGTERM, for a revoke, and for the current chunk of a backfill",
    )
    log_format: Literal["console", "json"] = Field("console", description="format of log lines on standard error")
    kafka: dict[str, str] = Field(default_factory=dict, description="librdkafka properties, as PROJECTOR_KAFKA__NAME")

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which people read times."""
        return ZoneInfo(self.timezone)


@cache
def load() -> Settings:
    """Read the settings once.

    Raises:
        SettingError: naming the variable, for a wrong value or an unknown name; or the `.env` file, if another user may
            write it or it sets what only the environment may set.

    """
    try:
        with env_file.trusted() as (path, values):
            _refuse_unknown({*os.environ, *values})
            env_file.refuse_what_loads_code(values, kafka_prefix=KAFKA_PREFIX, database=variable("database_url"))
            return Settings(_env_file=path)
    except ValidationError as error:
        first = error.errors()[0]
        name = variable(str(first["loc"][0]))
        said = first["msg"].removeprefix("Value error, ").replace("Input should", "must")
        raise SettingError(f"{name}: {NUMBERS.get(first['type'], said)}") from None


def variable(field: str) -> str:
    """Name the environment variable of a field."""
    return field if field.startswith(PREFIX) else f"{PREFIX}{field.upper()}"


def known_variables() -> dict[str, str]:
    """Map every variable but the open-ended `PROJECTOR_KAFKA__*` to its description."""
    fields = Settings.model_fields.items()
    return {field.alias or variable(name): field.description or "" for name, field in fields if name != "kafka"}


def _refuse_unknown(given: set[str]) -> None:
    """Refuse an unknown name: a typo would otherwise be ignored silently.

    Names are in capitals only. Pydantic accepts other spellings as well, which would bypass the checks on names.
    """
    unknown = [name for name in sorted(given) if name.upper().startswith(PREFIX) and not _is_known(name)]
    if unknown:
        raise SettingError("; ".join(f"{name} is not a setting: {_suggestion(name)}" for name in unknown))


def _is_known(name: str) -> bool:
    return name in known_variables() or (name.startswith(KAFKA_PREFIX) and name.isupper())


def _suggestion(name: str) -> str:
    """Name the setting that was probably meant, or all of them."""
    capitals, single = name.upper(), KAFKA_PREFIX.removesuffix("_")
    if _is_known(capitals):
        return f"did you mean {capitals}?"
    near = get_close_matches(capitals, known_variables(), n=1, cutoff=NEAR)
    if near:
        return f"did you mean {near[0]}?"
    if capitals.startswith(single):
        return f"did you mean {KAFKA_PREFIX}{capitals.removeprefix(single)}, a property of librdkafka?"
    return f"the settings are {', '.join(sorted(known_variables()))}"


def required(settings: Settings, field: Literal["database_url", "kafka_bootstrap_servers"]) -> str:
    """Return a setting that has no default.

    Raises:
        SettingError: it is not set.

    """
    value = getattr(settings, field)
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if not text:
        sandbox = "`projector sandbox up` starts services"
        raise SettingError(f'{variable(field)} is not set; {sandbox}, and `eval "$(projector sandbox env)"` sets it')
    return text
