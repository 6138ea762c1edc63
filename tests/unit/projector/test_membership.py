"""What a deployment may not change about the membership, and what errors in a message's place mean."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaException

from events.contract.types import TopicPartition
from events.runtime.deadline import Deadline
from events.runtime.errors import SettingError
from events.runtime.settings import Settings
from projector.consume.group_membership import Membership
from projector.kafka_log.partitions import PartitionLog, require_described

SOON = Deadline.after(10)
LOG = PartitionLog(topic_id="x", low=0, high=9)


def nothing(_places: Collection[TopicPartition]) -> Mapping[TopicPartition, Any]:
    return {}


def joined(kafka: dict[str, str]) -> Membership:
    settings = Settings(_env_file=None, kafka_bootstrap_servers="127.0.0.1:1", group_id="ours", kafka=kafka)
    return Membership(settings, ["t"], start=nothing, leave=nothing)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auto_offset_reset", "latest"),
        ("AUTO_OFFSET_RESET", "earliest"),
        ("enable_partition_eof", "false"),
        ("group_id", "theirs"),
    ],
)
def test_a_property_that_exactly_once_rests_on_cannot_be_changed(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"^PROJECTOR_KAFKA__{name.upper()} has to be "):
        joined({name: value})


def test_the_same_value_and_other_properties_may_be_given() -> None:
    given = {"auto_offset_reset": "error", "enable_partition_eof": "True", "group_id": "ours", "client_id": "c"}
    joined(given).close(SOON)


def test_partitions_that_the_broker_does_not_know_yet_are_asked_for_again() -> None:
    require_described({("t", 0)}, {("t", 0): LOG})
    with pytest.raises(KafkaException, match="t/1 was assigned, but the broker does not know it yet"):
        require_described({("t", 0), ("t", 1)}, {("t", 0): LOG})
