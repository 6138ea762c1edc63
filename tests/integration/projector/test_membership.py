"""What is read is taken in before the group may move its partition."""

from collections.abc import Iterable, Mapping

from confluent_kafka import Message as KafkaMessage

from events.contract.types import ENTITIES, Refusal, TopicPartition, topic_of
from events.runtime import kafka
from events.runtime.deadline import Deadline
from events.runtime.settings import Settings
from projector.consume.buffer import Buffer
from projector.consume.group_membership import Membership
from projector.kafka_log.position_check import Position
from projector.kafka_log.receive import receive
from tests.conftest import WaitUntil

REFUSED = Refusal("no-value", "")
SENT = 5


def test_a_first_message_is_forgotten_with_its_partition(kafka_settings: Settings, wait_until: WaitUntil) -> None:
    topics = [topic_of(entity, kafka_settings.topic_prefix) for entity in ENTITIES]
    producer = kafka.producer(kafka_settings)
    for _ in range(SENT):
        producer.produce(topics[0], b"x", partition=0)
    producer.flush()
    buffer = Buffer()

    def start(given: set[TopicPartition]) -> Mapping[TopicPartition, Position]:
        buffer.assign(dict.fromkeys(given, 0))
        return dict.fromkeys(given, Position(next_offset=0, topic_id=None))

    def leave(taken: set[TopicPartition]) -> Mapping[TopicPartition, int]:
        buffer.revoke(taken)
        return {}

    def read(messages: Iterable[KafkaMessage]) -> bool:
        for message in messages:
            if message.error() is None:
                buffer.add(receive(message), REFUSED)
                return True
        return False

    membership = Membership(kafka_settings, topics, start=start, leave=leave)
    wait_until(lambda: read(membership.poll(1 + SENT, timeout_seconds=0.5)), what="a first message")
    assert buffer.has_work()
    membership.close(Deadline.after(10))  # as a rebalance between the first message and the rest would
    assert not buffer.has_work()
    buffer.assign({(topics[0], 0): 0})
    assert [item.message.offset for item in buffer.take().items] == []
