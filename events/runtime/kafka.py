"""librdkafka clients, configured from the settings in one place."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from events.runtime.client_properties import require_allowed
from events.runtime.errors import ServiceTemporarilyUnavailable, ServiceUnavailable, SettingError
from events.runtime.settings import Settings, required

PROBE_SECONDS = 10.0  # a broker that does not answer a metadata request within this is away
PROBE_SLICE_SECONDS: Final = 0.25  # between two looks at why it does not
INSECURE: Final = {KafkaError._SSL, KafkaError._AUTHENTICATION}  # noqa: SLF001 - public in librdkafka
"""What a wrong password, certificate or authority ends in; waiting does not mend it."""
REFUSED: Final = {
    *INSECURE,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}
"""Codes that say who we are, which waiting does not change."""

_log = logging.getLogger("librdkafka")
_silent = logging.getLogger("librdkafka.admin")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False  # what keeps an admin client from its brokers becomes the one line of an error
Client = TypeVar("Client", Producer, Consumer, AdminClient)


def client_config(settings: Settings, **own: Any) -> dict[str, Any]:  # noqa: ANN401 - librdkafka's values are of any type
    """Merge the properties: ours first, then the deployment's `PROJECTOR_KAFKA__*`, which win.

    Raises:
        SettingError: naming one that is not the deployment's to choose.

    """
    given = {name.lower().replace("_", "."): value for name, value in settings.kafka.items()}
    require_allowed(given, settings.group_id)
    return {"bootstrap.servers": required(settings, "kafka_bootstrap_servers"), **own, **given}


def producer(settings: Settings, **own: Any) -> Producer:  # noqa: ANN401 - as above
    """Make an idempotent producer."""
    ours = {"enable.idempotence": True, "acks": "all", "linger.ms": 5}
    return _create_client(Producer, client_config(settings, **{**ours, **own}))


def admin(settings: Settings) -> AdminClient:
    """Make an admin client whose brokers have answered.

    Raises:
        ServiceUnavailable: naming the address; at once where they refuse us, or where we don't trust them.

    """
    complaints: list[KafkaError] = []
    client = _create_client(AdminClient, client_config(settings, error_cb=complaints.append), _silent)
    deadline = time.monotonic() + PROBE_SECONDS
    while True:
        try:
            client.list_topics(timeout=PROBE_SLICE_SECONDS)
        except KafkaException as error:
            client.poll(0)  # hands the complaints over
            if fatal := _find_fatal(complaints):
                raise _describe_insecure(settings, fatal) from None
            if time.monotonic() > deadline:
                raise unavailable(settings, error) from None
        else:
            return client


def consumer(settings: Settings, **own: Any) -> Consumer:  # noqa: ANN401 - as above
    """Make a consumer; it connects on its first poll."""
    return _create_client(Consumer, client_config(settings, **own))


def unavailable(settings: Settings, error: KafkaException) -> ServiceUnavailable:
    """Put a broker failure into one line without secrets."""
    failure = error.args[0]
    refused = failure.code() in REFUSED
    how = "refuses" if refused or failure.code() > 0 else "cannot be reached"  # librdkafka's own codes are negative
    said = f"Kafka at {settings.kafka_bootstrap_servers} {how}: {failure.str()}"
    return ServiceUnavailable(said) if refused else ServiceTemporarilyUnavailable(said)


def fatal_error(raised: KafkaException | SystemError) -> KafkaError:
    """Return what is fatal to a client, which raises that out of any call.

    A callback that the client still makes afterwards, such as a delivery report, trips over it: that ends in a
    SystemError that has it as its cause, or in one that has lost it.
    """
    cause = raised.__cause__ if isinstance(raised, SystemError) else raised
    if isinstance(cause, KafkaException):
        error: KafkaError = cause.args[0]
        return error
    return KafkaError(KafkaError._FATAL, "a fatal error, which the line before this names")  # noqa: SLF001 - as above


def _find_fatal(complaints: list[KafkaError]) -> KafkaError | None:
    """Find what no waiting mends, once no broker is left that might take us all the same."""
    if all(error.code() != KafkaError._ALL_BROKERS_DOWN for error in complaints):  # noqa: SLF001 - as above
        return None
    return next((error for error in complaints if error.code() in INSECURE or "SSL" in error.str()), None)


def _describe_insecure(settings: Settings, error: KafkaError) -> ServiceUnavailable:
    """Say it in a line; librdkafka's sentence names the broker and the reason, and no secret."""
    refused = error.code() == KafkaError._AUTHENTICATION  # noqa: SLF001 - as above
    how = "refuses us" if refused else "cannot be reached securely"
    return ServiceUnavailable(f"Kafka at {settings.kafka_bootstrap_servers} {how}: {error.str()}")


@contextmanager
def translate_kafka_errors(settings: Settings) -> Iterator[None]:
    """Turn what librdkafka raises into one line.

    Raises:
        ServiceUnavailable: naming the address.

    """
    try:
        yield
    except KafkaException as error:
        raise unavailable(settings, error) from None


def _create_client(make: type[Client], config: dict[str, Any], logger: logging.Logger = _log) -> Client:
    try:
        return make(config, logger=logger)
    except KafkaException as error:
        raise SettingError(f"PROJECTOR_KAFKA__*: {error.args[0].str()}") from None
