"""`projector replay`: from places to what became of them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import psycopg
from psycopg import Connection
from sqlalchemy import Engine

from events import kafka
from events.decode import Decoder
from events.errors import WorkFailed
from events.settings import Settings
from events.types import ENTITIES, topic_of
from projector import database, merge, positions, revision
from projector.log_reader import reading
from projector.replay.places import read, require_applied
from projector.replay.replay import Replayed, Replayer
from projector.writer import sentence

CONNECTION_LOST: Final = {"08", "57"}  # SQLSTATE classes that say nothing about the work


def replay(settings: Settings, lines: Iterable[bytes], source_name: str) -> Replayed:
    """Replay the messages at these places.

    Raises:
        InputError: a line is no place, or nothing of ours stands there.
        ServiceUnavailable: PostgreSQL or Kafka is away, or refuses us.
        WorkFailed: PostgreSQL refused a message's content.

    """
    spots = list(read(lines, source_name))
    topics = [topic_of(entity, settings.topic_prefix) for entity in ENTITIES]
    engine = database.make_engine(settings, program="projector replay")
    with database.reachable(settings), kafka.answering(settings):
        revision.require_current(engine, settings.schema_name)
        with engine.connect() as connection:
            stored = positions.read(connection, settings.group_id)
        logs = positions.describe(kafka.admin(settings), topics)
        require_applied(spots, stored, logs)
        with reading(settings) as log, _prepared(engine) as driver:
            return Replayer(
                connection=driver,
                decode=Decoder(settings.currency, settings.topic_prefix),
                fetch=lambda spot: log.one(*spot),
                logs=logs,
                prefix=settings.topic_prefix,
            ).replay(spots)


@contextmanager
def _prepared(engine: Engine) -> Iterator[Connection[Any]]:
    """Yield a connection of our own: staging tables would be in the way of the pool's next user."""
    pooled = engine.raw_connection()
    try:
        connection = cast("Connection[Any]", pooled.driver_connection)
        merge.prepare(connection)
        yield connection
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate[:2] in CONNECTION_LOST:
            raise
        raise WorkFailed(f"PostgreSQL refused: {sentence(error)}; what was done before that stays") from error
    finally:
        pooled.invalidate()
