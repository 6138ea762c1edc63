"""librdkafka clients, configured from the settings."""

import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from events.runtime import advertised
from events.runtime.client_log import ClientLog, last_failure, plain
from events.runtime.client_properties import require_allowed
from events.runtime.errors import ServiceTemporarilyUnavailableError, ServiceUnavailableError, SettingError
from events.runtime.settings import Settings, required

PROBE_SECONDS = 10.0  # a broker that answers no metadata request within this is unavailable
PROBE_SLICE_SECONDS: Final = 0.25  # between two checks why it does not
INSECURE: Final = {KafkaError._SSL, KafkaError._AUTHENTICATION}  # noqa: SLF001 - public in librdkafka
"""Errors of a wrong password, certificate or authority, which a retry does not resolve."""
REFUSED: Final = {
    *INSECURE,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}
"""Errors of authentication and authorization, which a retry does not resolve."""

UNREACHABLE: Final = {
    KafkaError._TRANSPORT,  # noqa: SLF001 - as above
    KafkaError._TIMED_OUT,  # noqa: SLF001 - as above
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001 - as above
    KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001 - as above
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - as above
    KafkaError._RESOLVE,  # noqa: SLF001 - as above
}
"""Errors whose cause is a connection; librdkafka's log names it, and the error does not."""
ERRORS_MAX: Final = 100  # of an admin client that are kept

_admins: "weakref.WeakSet[AdminClient]" = weakref.WeakSet()
Client = TypeVar("Client", Producer, Consumer, AdminClient)
Answer = TypeVar("Answer")


def client_config(settings: Settings, **own: Any) -> dict[str, Any]:  # noqa: ANN401 - librdkafka's values are of any type
    """Merge the properties: the deployment's `PROJECTOR_KAFKA__*` override ours.

    Raises:
        SettingError: naming a property that a deployment may not change.

    """
    given = {name.lower().replace("_", "."): value for name, value in settings.kafka.items()}
    require_allowed(given, settings.group_id)
    return {"bootstrap.servers": required(settings, "kafka_bootstrap_servers"), **own, **given}


def producer(settings: Settings, **own: Any) -> Producer:  # noqa: ANN401 - as above
    """Make an idempotent producer."""
    ours = {"enable.idempotence": True, "acks": "all", "linger.ms": 5}
    return _create_client(Producer, settings, client_config(settings, **{**ours, **own}))


def admin(settings: Settings, *, probe_seconds: float | None = None) -> AdminClient:
    """Make an admin client, and wait until a broker answers, so many seconds or ten.

    Raises:
        ServiceUnavailableError: naming the address; at once if the brokers refuse us, or cannot be trusted, or if one
            advertises an address that this machine cannot resolve.

    """
    errors: deque[KafkaError] = deque(maxlen=ERRORS_MAX)
    client = _create_client(AdminClient, settings, client_config(settings, error_cb=errors.append))
    _admins.add(client)
    deadline = time.monotonic() + (probe_seconds or PROBE_SECONDS)
    while True:
        try:
            brokers = client.list_topics(timeout=PROBE_SLICE_SECONDS).brokers
        except KafkaException as error:
            client.poll(0)  # delivers the errors
            if fatal := _find_fatal(errors):
                raise _describe_insecure(settings, fatal) from None
            if time.monotonic() > deadline:
                raise unavailable(settings, error) from None
        else:
            found = [(str(broker.host), broker.port) for broker in brokers.values()]
            advertised.require_resolvable(settings.kafka_bootstrap_servers, found)
            return client


def consumer(settings: Settings, **own: Any) -> Consumer:  # noqa: ANN401 - as above
    """Make a consumer; it connects on its first poll. With an `error_cb`, the caller reports connection failures."""
    return _create_client(Consumer, settings, client_config(settings, **own))


def unavailable(settings: Settings, error: KafkaException) -> ServiceUnavailableError:
    """Describe a broker's failure in one line without secrets."""
    failure = error.args[0]
    refused = failure.code() in REFUSED
    how = "refuses" if refused or failure.code() > 0 else "cannot be reached"  # librdkafka's own codes are negative
    message = f"Kafka at {settings.kafka_bootstrap_servers} {how}: {describe(settings, failure)}"
    return ServiceUnavailableError(message) if refused else ServiceTemporarilyUnavailableError(message)


def describe(settings: Settings, failure: KafkaError) -> str:
    """Write an error with what the log of our clients says of its cause."""
    return failure.str() + (explain_silence(settings) if failure.code() in UNREACHABLE else "")


def explain_silence(settings: Settings) -> str:
    """Write why a connection to the brokers failed last, as the end of a sentence; empty if none did lately."""
    for client in list(_admins):
        client.poll(0)  # delivers their log
    servers = settings.kafka_bootstrap_servers
    return advertised.explain(servers, last_failure(servers))


def call(function: Callable[..., Answer], *arguments: object) -> Answer:
    """Make a call in which a client calls back or may meet a fatal error, after which it does nothing more.

    What the library raises then is a KafkaException; or a SystemError, with that as its cause or with nothing; or, if
    it called its logger in between, the KafkaError alone, which is no exception and is caught by a bare `except` only.
    It must be gone before another is raised, because Python would take it for the other's context.

    Raises:
        KafkaException: with the error.

    """
    try:
        return function(*arguments)
    except:  # noqa: E722 - as above
        raised: object = sys.exc_info()[1]
    cause = raised.__cause__ if isinstance(raised, SystemError) else raised
    if isinstance(cause, BaseException):
        raise cause
    lost = KafkaError(KafkaError._FATAL, "a fatal error, which the log line before names")  # noqa: SLF001 - as above
    raise KafkaException(cause if isinstance(cause, KafkaError) else lost)


def _find_fatal(errors: Iterable[KafkaError]) -> KafkaError | None:
    """Return an error that a retry does not resolve, once every broker has failed; None otherwise."""
    if all(error.code() != KafkaError._ALL_BROKERS_DOWN for error in errors):  # noqa: SLF001 - as above
        return None
    return next((error for error in errors if error.code() in INSECURE or "SSL" in error.str()), None)


def _describe_insecure(settings: Settings, error: KafkaError) -> ServiceUnavailableError:
    """Describe it in one line; librdkafka's message names the broker and the reason, and no secret."""
    refused = error.code() == KafkaError._AUTHENTICATION  # noqa: SLF001 - as above
    how = "refuses us" if refused else "cannot be reached securely"
    return ServiceUnavailableError(f"Kafka at {settings.kafka_bootstrap_servers} {how}: {plain(error.str())}")


@contextmanager
def translate_kafka_errors(settings: Settings) -> Iterator[None]:
    """Turn an exception of librdkafka into one line.

    Raises:
        ServiceUnavailableError: naming the address.

    """
    try:
        yield
    except KafkaException as error:
        raise unavailable(settings, error) from None


def _create_client(make: type[Client], settings: Settings, config: dict[str, Any]) -> Client:
    """Make a client whose log lines are ours; who passes an `error_cb` reports connection failures."""
    log = ClientLog(settings.kafka_bootstrap_servers, connections="error_cb" not in config)
    try:
        return make(config, logger=log)
    except KafkaException as error:
        raise SettingError(f"PROJECTOR_KAFKA__*: {error.args[0].str()}") from None
