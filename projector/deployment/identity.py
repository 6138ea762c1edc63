"""What a deployment is, and whether a program's settings agree with it.

One row records what the stored figures mean: their currency, the time zone of a business day, and the topics and the
cluster that positions and offsets belong to. With another currency, amounts of two currencies would be added up without
any error. So every program that works on the database calls `require` at its start, before it reads or writes anything
else, and one that uses Kafka calls `projector.deployment.cluster.require` as well. Only the owner of the schema may
change the row.
"""

from collections.abc import Mapping
from typing import Any, Final

from psycopg import Connection
from sqlalchemy import Engine

from events.contract.types import ENTITIES, topic_of
from events.runtime.errors import SettingError, StateError
from events.runtime.settings import Settings, variable
from projector.database import revision
from projector.database.engines import transaction
from projector.database.statements import statements

SQL: Final = statements("projector.deployment", "identity.sql")
CLUSTER: Final = "kafka_cluster"
FACTS: Final = ("currency", "timezone", "topic_prefix", CLUSTER)
"""The columns of the row. A program's settings hold the first three, the broker reports the last."""

Identity = Mapping[str, str | None]
"""Each fact and its value; no cluster if `projector init` has never reached Kafka."""


def given(settings: Settings) -> dict[str, str]:
    """Return the facts that the settings hold."""
    return {fact: str(getattr(settings, fact)) for fact in FACTS if fact != CLUSTER}


def command_name(fact: str) -> str:
    """Return a fact's name as `projector deployment set` takes it."""
    return fact.replace("_", "-")


def read(connection: Connection[Any]) -> Identity | None:
    """Read the row; None where there is none yet."""
    row = connection.execute(SQL["read_identity"]).fetchone()
    return dict(zip(FACTS, row, strict=True)) if row else None


def read_cluster(connection: Connection[Any]) -> str | None:
    """Read the recorded cluster; None where none is recorded yet."""
    return (read(connection) or {}).get(CLUSTER)


def write_cluster(connection: Connection[Any], cluster_id: str) -> bool:
    """Record the cluster where none is recorded; return whether it was recorded."""
    return connection.execute(SQL["write_cluster"], {CLUSTER: cluster_id}).rowcount > 0


def topics_read(connection: Connection[Any]) -> set[tuple[str, str | None]]:
    """Return the topics that have stored positions, with their ids."""
    return set(connection.execute(SQL["topics_read"]).fetchall())


def require(engine: Engine, settings: Settings) -> None:
    """Refuse to work on a schema of another revision, or with settings other than the deployment's.

    Raises:
        StateError: the schema is missing, older or newer, or the deployment's row is missing.
        SettingError: naming the setting, both values and what to do.

    """
    revision.require_current(engine, settings.schema_name)
    with transaction(engine) as connection:
        recorded = read(connection)
    if recorded is None:
        raise StateError(f"schema {settings.schema_name} does not say which deployment it is: run `projector init`")
    _require_same(settings, recorded)


def adopt(connection: Connection[Any], settings: Settings) -> dict[str, str]:
    """Record the settings' facts where none are recorded, and return them; otherwise compare.

    Raises:
        StateError: what is stored contradicts the settings.
        SettingError: a setting differs from what is recorded.

    """
    recorded = read(connection)
    if recorded is not None:
        _require_same(settings, recorded)
        return {}
    require_currency(connection, settings.schema_name, settings.currency)
    ours = {topic_of(entity, settings.topic_prefix) for entity in ENTITIES}
    stored = {topic for topic, _ in topics_read(connection)}
    if stored and not stored & ours:
        raise StateError(
            f"PROJECTOR_TOPIC_PREFIX is {settings.topic_prefix}, but schema {settings.schema_name} was filled from "
            f"{min(stored)}: set the prefix of that topic, or another PROJECTOR_SCHEMA"
        )
    connection.execute(SQL["write_identity"], given(settings))
    return given(settings)


def require_currency(connection: Connection[Any], schema: str, currency: str) -> None:
    """Refuse a currency if history holds an amount in another one: a balance would add the two up.

    Raises:
        StateError: naming a row.

    """
    row = connection.execute(SQL["amount_in_another_currency"], {"currency": currency}).fetchone()
    if row:
        kind, key, other = row
        raise StateError(
            f"PROJECTOR_CURRENCY is {currency}, but schema {schema} holds {kind} {key} in {other}, and a deployment "
            f"has one currency: set PROJECTOR_CURRENCY={other}, or another PROJECTOR_SCHEMA"
        )


def _require_same(settings: Settings, recorded: Identity) -> None:
    for fact, value in given(settings).items():
        if value != recorded[fact]:
            name = variable(fact)
            raise SettingError(
                f"{name} is {value}, but schema {settings.schema_name} was set up with {recorded[fact]}: set "
                f"{name}={recorded[fact]}, or see `projector deployment set {command_name(fact)}`"
            )
