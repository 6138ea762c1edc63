"""What the broker holds: the ids of topics, and the first and last offsets of their partitions."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from events.contract.types import TopicPartition
from events.runtime.kafka import PROBE_SECONDS
from projector.errors import TopicMissingError
from projector.kafka_log.log_identity import Record


@dataclass(frozen=True, kw_only=True)
class Reread:
    """What the broker returned for the offset of the message applied last.

    Args:
        record: the message at that offset; None where there is none, or where the read began at the position.
        truncated: the broker's error, where the leader epoch of that message ended before the position.

    """

    record: Record | None = None
    truncated: str | None = None


@dataclass(frozen=True, kw_only=True)
class PartitionLog:
    """What the broker holds of one partition: offsets from `low` up to, not including, `high`.

    Args:
        topic_id: unique to this topic; a topic that is created again under the same name has another one.
        low: the first offset that retention has left.
        high: the offset of the next message.
        reread: what `projector.kafka_log.last_record` found; None where nothing was read, or nothing could be.

    """

    topic_id: str
    low: int
    high: int
    reread: Reread | None = None


def describe_partitions(client: AdminClient, topics: Collection[str]) -> dict[TopicPartition, PartitionLog]:
    """Ask the broker for every partition of these topics.

    Raises:
        TopicMissingError: a topic does not exist.
        KafkaException: the broker does not answer.

    """
    topic_ids: dict[TopicPartition, str] = {}
    for topic, (topic_id, partitions) in describe_topics(client, topics).items():
        topic_ids.update({(topic, partition): topic_id for partition in partitions})
    low, high = (_offsets(client, topic_ids, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
    return {
        place: PartitionLog(topic_id=topic_id, low=low[place], high=high[place])
        for place, topic_id in topic_ids.items()
    }


def describe_topics(client: AdminClient, topics: Collection[str]) -> dict[str, tuple[str, list[int]]]:
    """Ask the broker for the id and the partition numbers of each topic; partition leaders are not asked.

    Raises:
        TopicMissingError: a topic does not exist.
        KafkaException: the broker does not answer.

    """
    found = describe_existing_topics(client, topics)
    for topic in topics:
        if topic not in found:
            raise TopicMissingError(topic)
    return found


def describe_existing_topics(client: AdminClient, topics: Collection[str]) -> dict[str, tuple[str, list[int]]]:
    """Do the same, and leave out topics that do not exist.

    Raises:
        KafkaException: the broker does not answer.

    """
    found: dict[str, tuple[str, list[int]]] = {}
    for name, future in client.describe_topics(TopicCollection(list(topics)), request_timeout=PROBE_SECONDS).items():
        try:
            topic = future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
        else:
            found[name] = str(topic.topic_id), [partition.id for partition in topic.partitions]
    return found


def require_described(assigned: set[TopicPartition], logs: Mapping[TopicPartition, PartitionLog]) -> None:
    """Refuse partitions that the broker did not describe: in a cluster, one broker learns of new ones before another.

    Raises:
        KafkaException: to be retried.

    """
    if unknown := sorted(assigned - logs.keys()):
        topic, partition = unknown[0]
        reason = f"{topic}/{partition} was assigned, but the broker does not know it yet"
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, reason))


def cluster_id(client: AdminClient) -> str:
    """Ask a cluster for its id.

    Raises:
        KafkaException: it does not answer.

    """
    return str(client.describe_cluster(request_timeout=PROBE_SECONDS).result().cluster_id)


def first_since(client: AdminClient, places: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
    """Ask for each partition's first message with this timestamp or a later one; without one it has no entry.

    Raises:
        KafkaException: the broker does not answer.

    """
    found = _offsets(client, places, OffsetSpec.for_timestamp(timestamp_ms))
    return {place: offset for place, offset in found.items() if offset >= 0}


def _offsets(client: AdminClient, places: Iterable[TopicPartition], spec: OffsetSpec) -> dict[TopicPartition, int]:
    asked = client.list_offsets({KafkaPartition(*place): spec for place in places}, request_timeout=PROBE_SECONDS)
    return {(part.topic, part.partition): future.result().offset for part, future in asked.items()}
