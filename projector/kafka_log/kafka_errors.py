"""What librdkafka's errors mean for a consumer: continue, check that the log is still the same, or end.

librdkafka delivers some errors in place of a message and others through its error callback; which ones depends on the
group's protocol, so both paths use these functions. `KafkaError.fatal()` is False for a fatal error that is delivered
in place of a message; its code is what counts.
"""

from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage

from projector.errors import GroupRefusedError, PositionImpossibleError
from projector.kafka_log.position_check import deleted

FATAL_ERRORS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._BAD_MSG,  # noqa: SLF001 - public in librdkafka, which would skip what it cannot read
    KafkaError._BAD_COMPRESSION,  # noqa: SLF001 - as above
}
GONE: Final = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID}
OUT_OF_RANGE: Final = {
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - as above
    KafkaError._LOG_TRUNCATION,  # noqa: SLF001 - as above
    KafkaError.OFFSET_OUT_OF_RANGE,
}
GROUP_REFUSES: Final = {
    KafkaError._FATAL: "",  # noqa: SLF001 - as above; its message names the cause
    KafkaError._UNSUPPORTED_FEATURE: "the brokers lack what the group's protocol needs",  # noqa: SLF001 - as above
    KafkaError.FENCED_INSTANCE_ID: "give each consumer a group.instance.id of its own",
    KafkaError.UNRELEASED_INSTANCE_ID: "give each consumer a group.instance.id of its own",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: "every consumer of a group needs the same assignors: compare "
    "PROJECTOR_KAFKA__PARTITION_ASSIGNMENT_STRATEGY, and whether something else uses the group",
    KafkaError.UNSUPPORTED_ASSIGNOR: "the brokers have no such assignor: see PROJECTOR_KAFKA__GROUP_REMOTE_ASSIGNOR",
    KafkaError.INVALID_SESSION_TIMEOUT: "the brokers allow no such PROJECTOR_KAFKA__SESSION_TIMEOUT_MS",
    KafkaError.GROUP_MAX_SIZE_REACHED: "the brokers allow no more members: see group.max.size",
    KafkaError.INVALID_GROUP_ID: "PROJECTOR_GROUP_ID is no group's name",
    KafkaError.UNSUPPORTED_VERSION: "the brokers lack what the group's protocol needs",
}
"""Errors after which the group never assigns a partition, though librdkafka keeps asking, and what to do."""
INTERRUPTED: Final = {
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - as above
    KafkaError._TRANSPORT,  # noqa: SLF001 - as above
    KafkaError._RESOLVE,  # noqa: SLF001 - as above
    KafkaError._TIMED_OUT,  # noqa: SLF001 - as above
    KafkaError._AUTHENTICATION,  # noqa: SLF001 - as above
    KafkaError._SSL,  # noqa: SLF001 - as above
}
"""A connection was lost or could not be made; the next one may reach another log (`projector.kafka_log.continuity`)."""

_log = structlog.get_logger()


def at_end(message: KafkaMessage) -> bool:
    """Tell whether an error in place of a message reports the end of the log; raise for other errors.

    Raises:
        PositionImpossibleError: the broker does not have the offset, or the topic.
        GroupRefusedError: this consumer is no longer a member of the group, or never can be.
        KafkaException: an error that a retry does not resolve.

    """
    error = message.error()
    if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - as above
        return error is not None
    topic, partition = message.topic(), message.partition()
    if error.code() in OUT_OF_RANGE:
        again = f"`projector positions set {topic} {partition} earliest` replays what the broker has"
        raise PositionImpossibleError(
            f"{topic}/{partition}: the broker cannot serve the position: {error.str()}; `projector positions show` "
            f"compares the two; {again}"
        )
    if error.code() in GONE:
        raise PositionImpossibleError(deleted(str(topic)))
    require_able(error)
    _log.warning("Kafka error", error=error.str())
    return False


def is_gone(message: KafkaMessage) -> bool:
    """Tell whether an error in place of a message says that a broker does not know the topic."""
    error = message.error()
    return error is not None and error.code() in GONE


def require_able(error: KafkaError) -> None:
    """Raise an error after which this consumer can never read again; others are waited for.

    Raises:
        GroupRefusedError: this consumer is no longer a member of the group, or never can be.
        KafkaException: an error that a retry does not resolve.

    """
    if error.fatal() or error.code() in GROUP_REFUSES:
        advice = GROUP_REFUSES.get(error.code(), "")
        raise GroupRefusedError(f"stopped: this consumer can do no more work: {error.str()}{advice and f'; {advice}'}")
    if error.code() in FATAL_ERRORS:
        raise KafkaException(error)
