"""What librdkafka's errors mean for a consumer: go on, look whether the log is still the same, or end.

Some come in the place of a message, some from the client itself by its callback, and which of them where depends on the
group's protocol: both ways ask here. `KafkaError.fatal()` says no of a fatal error that comes in the place of a
message; its code tells.
"""

from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage

from projector.errors import GroupRefused, PositionImpossible
from projector.positions.store import deleted

FATAL_ERRORS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._BAD_MSG,  # noqa: SLF001 - public in librdkafka, which would step over what it cannot read
    KafkaError._BAD_COMPRESSION,  # noqa: SLF001 - as above
}
GONE: Final = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID}
OUT_OF_RANGE: Final = {
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - as above
    KafkaError._LOG_TRUNCATION,  # noqa: SLF001 - as above
    KafkaError.OFFSET_OUT_OF_RANGE,
}
GROUP_REFUSES: Final = {
    KafkaError._FATAL: "",  # noqa: SLF001 - as above; its sentence says why. KafkaError.fatal() is False for it
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
"""After these no partition will ever be given, though librdkafka may go on to ask; and what to do, where known."""
INTERRUPTED: Final = {
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - as above
    KafkaError._TRANSPORT,  # noqa: SLF001 - as above
    KafkaError._RESOLVE,  # noqa: SLF001 - as above
    KafkaError._TIMED_OUT,  # noqa: SLF001 - as above
    KafkaError._AUTHENTICATION,  # noqa: SLF001 - as above
    KafkaError._SSL,  # noqa: SLF001 - as above
}
"""A connection was lost or could not be made: another log may be behind the next (`projector.kafka_log.continuity`)."""

_log = structlog.get_logger()


def at_end(message: KafkaMessage) -> bool:
    """Tell whether an error in a message's place says that the log ends there; raise what others mean.

    Raises:
        PositionImpossible: the broker no longer has, or does not have yet, what we asked for.
        GroupRefused: we are no member any more, or can never be one.
        KafkaException: an error that waiting does not mend.

    """
    error = message.error()
    if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - as above
        return error is not None
    topic, partition = message.topic(), message.partition()
    if error.code() in OUT_OF_RANGE:
        again = f"`projector positions set {topic} {partition} earliest` replays what the broker has"
        raise PositionImpossible(
            f"{topic}/{partition}: the broker cannot serve the position: {error.str()}; `projector positions show` "
            f"says where it stands; {again}"
        )
    if error.code() in GONE:
        raise PositionImpossible(deleted(str(topic)))
    require_able(error)
    _log.warning("Kafka reports", error=error.str())
    return False


def is_gone(message: KafkaMessage) -> bool:
    """Tell whether an error in a message's place says that a broker knows of no such topic."""
    error = message.error()
    return error is not None and error.code() in GONE


def require_able(error: KafkaError) -> None:
    """Raise an error after which no waiting brings anything to read, in a message's place or from the client itself.

    Raises:
        GroupRefused: we are no member any more, or can never be one.
        KafkaException: an error that waiting does not mend.

    """
    if error.fatal() or error.code() in GROUP_REFUSES:
        advice = GROUP_REFUSES.get(error.code(), "")
        raise GroupRefused(f"stopped: this consumer can do no more work: {error.str()}{advice and f'; {advice}'}")
    if error.code() in FATAL_ERRORS:
        raise KafkaException(error)
