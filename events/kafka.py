"""librdkafka clients, configured from the settings in one place."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from events.errors import ServiceUnavailable, SettingError
from events.settings import Settings, required

PROBE_SECONDS = 10.0  # a broker that does not answer a metadata request within this is away

_log = logging.getLogger("librdkafka")
Client = TypeVar("Client", Producer, Consumer, AdminClient)


def client_config(settings: Settings, **own: Any) -> dict[str, Any]:  # noqa: ANN401 - librdkafka's values are of any type
    """Merge the properties: ours first, then the deployment's `PROJECTOR_KAFKA__*`, which win."""
    given = {name.lower().replace("_", "."): value for name, value in settings.kafka.items()}
    return {"bootstrap.servers": required(settings, "kafka_bootstrap_servers"), **own, **given}


def producer(settings: Settings, **own: Any) -> Producer:  # noqa: ANN401 - as above
    """Make an idempotent producer."""
    return _made(Producer, client_config(settings, **{"enable.idempotence": True, "linger.ms": 5, **own}))


def admin(settings: Settings) -> AdminClient:
    """Make an admin client whose brokers have answered.

    Raises:
        ServiceUnavailable: naming the address.

    """
    client = _made(AdminClient, client_config(settings))
    try:
        client.list_topics(timeout=PROBE_SECONDS)
    except KafkaException as error:
        raise unavailable(settings, error) from None
    return client


def consumer(settings: Settings, **own: Any) -> Consumer:  # noqa: ANN401 - as above
    """Make a consumer; it connects on its first poll."""
    return _made(Consumer, client_config(settings, **own))


def unavailable(settings: Settings, error: KafkaException) -> ServiceUnavailable:
    """Put a broker failure into one line without secrets."""
    failure = error.args[0]
    how = "refuses" if failure.code() > 0 else "cannot be reached"  # librdkafka's own codes are negative
    return ServiceUnavailable(f"Kafka at {settings.kafka_bootstrap_servers} {how}: {failure.str()}")


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Turn what librdkafka raises into one line.

    Raises:
        ServiceUnavailable: naming the address.

    """
    try:
        yield
    except KafkaException as error:
        raise unavailable(settings, error) from None


def _made(make: type[Client], config: dict[str, Any]) -> Client:
    try:
        return make(config, logger=_log)
    except KafkaException as error:
        raise SettingError(f"PROJECTOR_KAFKA__*: {error.args[0].str()}") from None
