"""Where alerts go: services known to apprise, a Kafka topic, standard output."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from backfill.alerts import alert
from events.runtime.errors import ProgramError, ServiceUnavailableError, SettingError
from events.runtime.settings import Settings, required, variable

if TYPE_CHECKING:
    from apprise import Apprise
    from confluent_kafka.admin import AdminClient

KAFKA: Final = "kafka:"
STDOUT: Final = "stdout:"
TOPIC: Final = "drift-alerts"
CONNECT_SECONDS: Final = 5.0  # these three limit how long one address can delay a check: about half a minute
READ_SECONDS: Final = 10.0
RETRIES: Final = 1
DELIVERY_MS: Final = 10_000
NEXT: Final = re.compile(r"[\s,]+(?=[a-zA-Z][a-zA-Z0-9+.-]*:)")
"""What separates two addresses; a comma within an address is not followed by a scheme."""


class UndeliveredError(Exception):
    """An address did not take an alert; the message contains no secret."""


class Address(Protocol):
    """One place where alerts go: its name without secrets, and a digest that identifies it."""

    @property
    def name(self) -> str:
        """Its name in a log."""

    @property
    def key(self) -> str:
        """Its identity."""

    def send(self, document: Mapping[str, Any]) -> None:
        """Deliver an alert, or raise UndeliveredError."""


class StandardOutput:
    """One line of JSON for each alert."""

    name = STDOUT
    key = STDOUT

    def send(self, document: Mapping[str, Any]) -> None:
        """Write the line at once, so that the reader of a pipe gets it."""
        sys.stdout.write(alert.line(document) + "\n")
        sys.stdout.flush()


class KafkaTopic:
    """One JSON message for each alert; the key is the cause."""

    def __init__(self, settings: Settings) -> None:
        required(settings, "kafka_bootstrap_servers")
        self._settings = settings
        self.name = self.key = f"{KAFKA}{settings.topic_prefix}.{TOPIC}"

    def send(self, document: Mapping[str, Any]) -> None:
        """Produce one message and wait for the broker's acknowledgement; the topic is created if it is missing."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - only where Kafka is an address

        try:
            failure = self._produced(document)
        except ProgramError as error:
            failure = str(error)
        except KafkaException as error:
            failure = error.args[0].str()
        if failure:
            raise UndeliveredError(failure)

    def _produced(self, document: Mapping[str, Any]) -> str:
        from events.runtime import kafka  # noqa: PLC0415 - as above
        from projector.kafka_log.topics import create_topic  # noqa: PLC0415 - as above

        client = kafka.admin(self._settings)
        self._require_ours(client)
        topic, outcome = self.name.removeprefix(KAFKA), ["not delivered in time"]
        create_topic(client, topic, partitions=1, replication=self._settings.topic_replication)
        producer = kafka.producer(self._settings, **{"message.timeout.ms": DELIVERY_MS})
        producer.produce(
            topic,
            key=str(document["alert"]).encode(),
            value=alert.line(document).encode(),
            headers={"content-type": b"application/json"},
            on_delivery=lambda error, _: outcome.append(error.str() if error else ""),
        )
        kafka.call(producer.flush, 2 * DELIVERY_MS / 1000)
        return outcome[-1]

    def _require_ours(self, client: "AdminClient") -> None:
        """Refuse the broker of another cluster, unless the database is unavailable: the alert may be about that."""
        from projector.database.engines import make_engine  # noqa: PLC0415 - as above
        from projector.database.failures import translate_database_errors  # noqa: PLC0415 - as above
        from projector.deployment import cluster  # noqa: PLC0415 - as above
        from projector.kafka_log.partitions import cluster_id  # noqa: PLC0415 - as above

        engine = make_engine(self._settings, program="backfill")
        try:
            with suppress(ServiceUnavailableError), translate_database_errors(self._settings):
                cluster.require(engine, self._settings, cluster_id(client))
        finally:
            engine.dispose()


class Service:
    """One address of apprise."""

    def __init__(self, service: "Apprise", key: str) -> None:
        self._service = service
        self.key = key
        self.name = _place(str(service[0].url(privacy=True)))  # type: ignore[no-untyped-call]

    def send(self, document: Mapping[str, Any]) -> None:
        """Send the title and the lines as plain text."""
        from apprise import NotifyFormat, NotifyType  # noqa: PLC0415 - it takes a second

        kind = NotifyType.SUCCESS if document["state"] == "resolved" else NotifyType.FAILURE
        title, body = alert.title(document), alert.body(document)
        if not self._service.notify(body, title=title, notify_type=kind, body_format=NotifyFormat.TEXT):
            raise UndeliveredError("the service refused the alert, or cannot be reached")


def _place(masked: str) -> str:
    """Keep scheme and host: apprise masks the secrets it knows, but the path of a webhook may be one, too."""
    scheme, _, rest = masked.partition("://")
    return f"{scheme}://{re.split(r'[/?]', rest)[0].rpartition('@')[2]}"


def addresses(settings: Settings, given: Iterable[str]) -> list[Address]:
    """Make the addresses of the command line and of the setting, each once.

    Raises:
        SettingError: an address is invalid; the message names only its scheme, because the rest may be secret.

    """
    configured = NEXT.split(settings.alerts.get_secret_value().strip(" ,"))
    texts = [("--alert", text) for text in given]
    texts += [(variable("alerts"), text) for text in configured if text]
    made = [_made(settings, where, text) for where, text in texts]
    return list({address.key: address for address in made}.values())


def _made(settings: Settings, where: str, text: str) -> Address:
    if text == STDOUT:
        return StandardOutput()
    if text == KAFKA:
        return KafkaTopic(settings)
    return _service(where, text)


def _service(where: str, text: str) -> Service:
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - it takes a second

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it would log an invalid address with its secrets
    service = Apprise(asset=AppriseAsset(app_id="backfill", app_desc="meter balances", default_service_retry=RETRIES))
    if not service.add(text):
        scheme = text.partition(":")[0] if ":" in text else "no scheme"
        raise SettingError(f"{where}: neither kafka:, stdout: nor an address that apprise knows ({scheme}:...)")
    for server in service:
        if "cto=" not in text:
            server.socket_connect_timeout = CONNECT_SECONDS
        if "rto=" not in text:
            server.socket_read_timeout = READ_SECONDS
    return Service(service, alert.digest(text))
