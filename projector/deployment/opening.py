"""What a command opens first: the database and the broker of this deployment, each found to be the right one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Engine

from events.runtime import kafka, settings
from events.runtime.settings import Settings
from projector.database.engines import make_engine
from projector.database.failures import translate_database_errors
from projector.deployment import cluster, identity
from projector.kafka_log.broker import Broker


class Deployment(NamedTuple):
    """The settings, and what they lead to."""

    settings: Settings
    engine: Engine
    broker: Broker


@contextmanager
def open_database(program: str) -> Iterator[tuple[Settings, Engine]]:
    """Load the settings and open the database; errors of PostgreSQL become one line.

    Raises:
        SettingError, StateError: the schema is not this deployment's, or not at this program's revision.
        ServiceUnavailableError: PostgreSQL is unavailable, or refuses us.

    """
    chosen = settings.load()
    engine = make_engine(chosen, program=program)
    with translate_database_errors(chosen):
        identity.require(engine, chosen)
        yield chosen, engine


@contextmanager
def open_deployment(program: str) -> Iterator[Deployment]:
    """Open the database and the broker; errors of either become one line.

    Raises:
        SettingError, StateError: the schema or the cluster is not this deployment's.
        ServiceUnavailableError: PostgreSQL or Kafka is unavailable, or refuses us.

    """
    with open_database(program) as (chosen, engine), kafka.translate_kafka_errors(chosen):
        broker = Broker(chosen)
        cluster.require(engine, chosen, broker.cluster_id())
        yield Deployment(chosen, engine, broker)
