"""Publish lines of CloudEvents to the topics of their types; each is validated and sent before the next is read.

If Kafka stops taking messages, what is not delivered yet is given up, and the error says from which line to continue.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as Report

from events.contract.cloudevents import STRUCTURED_HEADERS
from events.contract.decode import Decoder, Headers
from events.contract.types import KEY_OF, Entity, Event, Mode, Refusal, topic_of
from events.json_lines import describe, numbered
from events.misspellings import Look
from events.runtime import kafka
from events.runtime.errors import InputError, ServiceUnavailableError, StateError
from events.runtime.settings import Settings

POLL_EVERY: Final = 1000  # messages between two checks for failed deliveries
FULL_QUEUE_SECONDS: Final = 0.1  # wait for space in librdkafka's queue
FATAL: Final = KafkaError._FATAL  # noqa: SLF001 - public in librdkafka; KafkaError.fatal() may be False for it
DELIVERY_MS: Final = 30_000  # a message that no broker accepts within this has failed
GIVE_UP_SECONDS: Final = 10.0  # to hear of the messages that are given up


class Sender:
    """Sends to the entities' topics and counts messages by topic; made by `sending`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        topics = kafka.admin(settings).list_topics(timeout=kafka.PROBE_SECONDS).topics
        self._missing = {name for name in (topic_of(e, settings.topic_prefix) for e in KEY_OF) if name not in topics}
        self._failed: KafkaError | None = None
        own = {"delivery.report.only.error": True, "message.timeout.ms": DELIVERY_MS}
        self._producer = kafka.producer(settings, **own)
        self._unpolled = 0
        self._undelivered = 0
        self._first_line: int | None = None  # of those that are not delivered
        self.counts: Counter[str] = Counter()

    def send(
        self,
        entity: Entity,
        key: bytes,
        value: bytes,
        headers: Headers = STRUCTURED_HEADERS,
        *,
        line: int | None = None,
    ) -> None:
        """Pass one message to librdkafka, waiting while its queue is full.

        Args:
            entity: whose topic it goes to.
            key: decides the partition.
            value: the event.
            headers: say how the event is written.
            line: where the event was read; an error names the first line that was not delivered.

        Raises:
            StateError: the topic does not exist.
            ServiceUnavailableError: an earlier message could not be delivered.

        """
        topic = topic_of(entity, self._settings.topic_prefix)
        if topic in self._missing:
            raise StateError(f"topic {topic} does not exist: run `projector init`")
        report = partial(self._report, line)
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=report, headers=list(headers))
                break
            except BufferError:
                self._poll(FULL_QUEUE_SECONDS)
            except KafkaException as error:
                if error.args[0].code() in kafka.REFUSED | {FATAL}:
                    self._poll(0)  # may deliver the reason
                    raise self._refused(error.args[0]) from None
                # larger than message.max.bytes
                where = "" if line is None else f"line {line}: "
                raise InputError(f"{where}a message to {topic} was refused: {error.args[0].str()}") from None
        self.counts[topic] += 1
        self._unpolled += 1
        if self._unpolled >= POLL_EVERY:
            self._poll(0)

    def flush(self) -> None:
        """Wait until every message is delivered.

        Raises:
            ServiceUnavailableError: one could not be delivered.

        """
        self._serve(self._producer.flush)
        self._poll(0)

    def poll(self) -> None:
        """Let the client deliver its reports, while nothing is sent.

        Raises:
            ServiceUnavailableError: an earlier message could not be delivered.

        """
        self._poll(0)

    def give_up(self) -> str:
        """Drop every message that is not delivered; return how many were delivered, and from which line to continue."""
        with suppress(KafkaException):  # after a fatal error a client may do nothing more
            kafka.call(self._producer.purge)
            kafka.call(self._producer.flush, GIVE_UP_SECONDS)
        sent = self.counts.total()
        delivered = f"{sent - self._undelivered:,} of {sent:,} messages were delivered"
        return delivered if self._first_line is None else f"{delivered}: continue with --from-line {self._first_line}"

    def _poll(self, seconds: float) -> None:
        self._unpolled = 0
        self._serve(self._producer.poll, seconds)
        if self._failed is not None:
            raise self._refused(self._failed)

    def _refused(self, error: KafkaError) -> ServiceUnavailableError:
        where = self._settings.kafka_bootstrap_servers
        why = kafka.describe(self._settings, error)
        return ServiceUnavailableError(f"Kafka at {where} did not take a message: {why}")

    def _report(self, line: int | None, error: KafkaError | None, _message: Report) -> None:
        if error is None:
            return
        self._failed = self._failed or error
        self._undelivered += 1
        if line is not None:
            self._first_line = min(line, self._first_line or line)

    def _serve(self, call: Callable[..., object], *arguments: float) -> None:
        """Make a call in which the client delivers its reports.

        Raises:
            ServiceUnavailableError: after a fatal error, an idempotent producer sends nothing more.

        """
        try:
            kafka.call(call, *arguments)
        except KafkaException as error:
            raise self._refused(error.args[0]) from None


@contextmanager
def sending(settings: Settings) -> Iterator[Sender]:
    """Make a sender; when the block ends, for whatever reason, wait until every message is delivered.

    Raises:
        ServiceUnavailableError: Kafka does not accept a message; it says how many were delivered.

    """
    sender = Sender(settings)
    try:
        try:
            yield sender
        except ServiceUnavailableError:
            raise
        except BaseException:
            sender.flush()
            raise
        sender.flush()
    except ServiceUnavailableError as error:
        raise ServiceUnavailableError(f"{error}; {sender.give_up()}") from None


def publish(  # noqa: PLR0913 - what is sent, where to, and how
    lines: Iterable[bytes],
    settings: Settings,
    source_name: str,
    mode: Mode = Mode.STRUCTURED,
    *,
    from_line: int = 1,
    look: Look | None = None,
) -> Mapping[str, int]:
    """Send JSON Lines of structured CloudEvents to their topics; return how many went to each.

    The key is the meter's id, or the entity's own id if it has no meter, so that a meter's events are in one partition.
    `look` sees each event before it is sent.

    Raises:
        InputError: naming the first invalid line. The lines before it are delivered, those after it are not sent.
        ServiceUnavailableError: Kafka does not accept a message; it names the first line that was not delivered.

    """
    decode = Decoder(settings.currency, settings.topic_prefix)
    with sending(settings) as sender:
        for number, value in numbered(lines, from_line):
            event = decode.structured(value)
            if isinstance(event, Refusal):
                before = _before(sender.counts)
                raise InputError(
                    f"{describe(source_name, number, event, value)}; {before}: continue with --from-line {number}"
                )
            if look is not None:
                look(number, event, value)
            headers, message = _binary(value) if mode is Mode.BINARY else (STRUCTURED_HEADERS, value)
            sender.send(event.entity, _key(event), message, headers, line=number)
    return sender.counts


def _key(event: Event) -> bytes:
    return b"%d" % (event.data.get("meter_id") or event.data[KEY_OF[event.entity]])


def _before(counts: Mapping[str, int]) -> str:
    if not counts:
        return "nothing was sent"
    return f"sent before it: {', '.join(f'{count} to {topic}' for topic, count in sorted(counts.items()))}"


def _binary(line: bytes) -> tuple[Headers, bytes]:
    """Write an event in binary mode: attributes in headers, `data` as the value."""
    envelope: dict[str, Any] = json.loads(line)
    data = envelope.pop("data")
    media_type = envelope.pop("datacontenttype", None) or "application/json"
    attributes = {f"ce_{name}": value for name, value in envelope.items() if value is not None}
    headers = {**attributes, "content-type": media_type}
    value = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return tuple((name, str(value).encode()) for name, value in headers.items()), value
