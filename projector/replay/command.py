"""`projector replay`: from places to what became of them."""

from collections.abc import Iterable

from events.contract.decode import Decoder
from events.runtime import kafka
from events.runtime.settings import Settings
from projector.consume import merge
from projector.database import engines, failures
from projector.database.own_session import own_session
from projector.deployment import identity
from projector.kafka_log.broker import Broker
from projector.kafka_log.log_reader import reading
from projector.positions import store as positions
from projector.replay.places import read, require_applied
from projector.replay.replay import Replayed, Replayer


def replay(settings: Settings, lines: Iterable[bytes], source_name: str) -> Replayed:
    """Replay the messages at these places.

    Raises:
        InputError: a line is no place, or nothing of ours stands there.
        StateError, SettingError: the schema or the cluster is not the deployment's, or a setting is not.
        ServiceUnavailable: PostgreSQL or Kafka is away, or refuses us.
        WorkFailed: PostgreSQL refused a message's content.

    """
    spots = list(read(lines, source_name))
    engine = engines.make_engine(settings, program="projector replay")
    with failures.translate_database_errors(settings), kafka.translate_kafka_errors(settings):
        identity.require(engine, settings)
        broker = Broker(settings)
        broker.require_cluster(engine)
        with engine.connect() as connection:
            stored = positions.read(connection, settings.group_id)
        logs = broker.logs()
        require_applied(spots, stored, logs)
        with reading(settings) as log, own_session(engine) as driver:
            merge.prepare(driver)
            return Replayer(
                connection=driver,
                decode=Decoder(settings.currency, settings.topic_prefix),
                fetch=lambda spot: log.one(*spot),
                logs=logs,
                prefix=settings.topic_prefix,
            ).replay(spots)
