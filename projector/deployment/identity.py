"""What a deployment is, and that a program's settings agree with it.

One row says what the stored figures mean: the currency in which they are added up, the time zone of a day, the topics
and the cluster that positions and offsets belong to. Another currency would be added to shillings without anybody
noticing. So every program that works on the database calls `require` at its start, and one that asks Kafka as well
`projector.deployment.cluster.require`; nothing is read or written before. The row is the owner's to change.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import Connection, Engine

from events.contract.types import ENTITIES, topic_of
from events.runtime.errors import SettingError, StateError
from events.runtime.settings import Settings, variable
from projector.database import revision
from projector.database.statements import statements

if TYPE_CHECKING:
    from psycopg import Connection as Driver

SQL: Final = statements("projector.deployment", "deployment.sql")
CLUSTER: Final = "kafka_cluster"
FACTS: Final = ("currency", "timezone", "topic_prefix", CLUSTER)
"""The columns of the row; a program's settings say the first three, the broker the last."""

Identity = Mapping[str, str | None]
"""Each fact; without a cluster where Kafka was never asked."""


def given(settings: Settings) -> dict[str, str]:
    """Say what the settings say of it."""
    return {fact: str(getattr(settings, fact)) for fact in FACTS if fact != CLUSTER}


def command_name(fact: str) -> str:
    """Name a fact as `projector deployment set` takes it."""
    return fact.replace("_", "-")


def read(driver: "Driver[Any]") -> Identity | None:
    """Read what is written down, or None where nothing is."""
    row = driver.execute(SQL["read_identity"]).fetchone()
    return dict(zip(FACTS, row, strict=True)) if row else None


def require(engine: Engine, settings: Settings) -> None:
    """Refuse to work on a schema that is not this program's, or with other settings than it was set up with.

    Raises:
        StateError: the schema is missing, older or newer, or nothing is written down.
        SettingError: naming the setting, both values and what to do.

    """
    revision.require_current(engine, settings.schema_name)
    with engine.connect() as connection:
        kept = read(driver_of(connection))
    if kept is None:
        raise StateError(f"schema {settings.schema_name}: nothing says what it holds: run `projector init`")
    _require_same(settings, kept)


def adopt(connection: Connection, settings: Settings) -> dict[str, str]:
    """Write down what is not yet; return that. What is written down is compared.

    Raises:
        StateError: what is stored contradicts the settings.
        SettingError: a setting is not what is written down.

    """
    driver = driver_of(connection)
    kept = read(driver)
    if kept is not None:
        _require_same(settings, kept)
        return {}
    require_currency(connection, settings.schema_name, settings.currency)
    ours = {topic_of(entity, settings.topic_prefix) for entity in ENTITIES}
    known = {topic for topic, _ in driver.execute(SQL["topics_read"])}
    if known and not known & ours:
        raise StateError(
            f"PROJECTOR_TOPIC_PREFIX is {settings.topic_prefix}, but schema {settings.schema_name} was filled from "
            f"{min(known)}: set the prefix of that topic, or another PROJECTOR_SCHEMA"
        )
    driver.execute(SQL["write_identity"], given(settings))
    return given(settings)


def require_currency(connection: Connection, schema: str, currency: str) -> None:
    """Refuse a currency in which some of history is not: a balance would add two up.

    Raises:
        StateError: naming a row.

    """
    row = driver_of(connection).execute(SQL["amount_in_another_currency"], {"currency": currency}).fetchone()
    if row:
        kind, key, other = row
        raise StateError(
            f"PROJECTOR_CURRENCY is {currency}, but schema {schema} holds {kind} {key} in {other}, and a deployment "
            f"has one currency: set PROJECTOR_CURRENCY={other}, or another PROJECTOR_SCHEMA"
        )


def _require_same(settings: Settings, kept: Identity) -> None:
    for fact, value in given(settings).items():
        if value != kept[fact]:
            name = variable(fact)
            raise SettingError(
                f"{name} is {value}, but schema {settings.schema_name} was set up with {kept[fact]}: set "
                f"{name}={kept[fact]}, or see `projector deployment set {command_name(fact)}`"
            )


def driver_of(connection: Connection) -> "Driver[Any]":
    """Return the driver's own connection."""
    return cast("Driver[Any]", connection.connection.driver_connection)
