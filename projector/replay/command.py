"""`projector replay`: the messages at given places."""

from collections.abc import Iterable

from events.contract.decode import Decoder
from projector.consume import merge
from projector.database.engines import own_session, transaction
from projector.database.failures import translate_refusals
from projector.deployment.opening import open_deployment
from projector.kafka_log.log_reader import reading
from projector.positions import store as positions
from projector.replay.places import read, require_applied
from projector.replay.replay import Replayed, Replayer


def replay(lines: Iterable[bytes], source_name: str) -> Replayed:
    """Replay the messages at these places.

    Raises:
        InputError: a line is not a place, or this group has applied no message there.
        StateError, SettingError: the schema or the cluster is not this deployment's, or a setting is wrong.
        ServiceUnavailableError: PostgreSQL or Kafka is unavailable, or refuses us.
        WorkFailedError: PostgreSQL refused a message's value.

    """
    places = list(read(lines, source_name))
    with open_deployment("projector replay") as (settings, engine, broker):
        with transaction(engine) as connection:
            stored = positions.read(connection, settings.group_id)
        logs = broker.logs()
        require_applied(places, stored, logs)
        with reading(settings) as log, own_session(engine) as connection, translate_refusals():
            merge.prepare(connection)
            return Replayer(
                connection=connection,
                decode=Decoder(settings.currency, settings.topic_prefix),
                fetch=lambda place: log.one(*place),
                logs=logs,
                prefix=settings.topic_prefix,
            ).replay(places)
