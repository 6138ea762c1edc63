"""The consumer group as the broker knows it, under each of Kafka's group protocols."""

from dataclasses import dataclass

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription

from events.contract.types import TopicPartition
from events.runtime.errors import StateError
from events.runtime.kafka import PROBE_SECONDS
from events.runtime.wording import counted


@dataclass(frozen=True, kw_only=True)
class Member:
    """One consumer of the group.

    Args:
        client_id: by default the host and the process's id; `PROJECTOR_KAFKA__CLIENT_ID` sets another.
        host: the address from which the broker sees it connected.
        instance: its `group.instance.id`, if it has one.
        partitions: those that it is assigned.

    """

    client_id: str
    host: str
    instance: str | None
    partitions: tuple[TopicPartition, ...]


def members(client: AdminClient, group_id: str) -> list[Member]:
    """Ask for the group's members, in the order of their client ids.

    Raises:
        KafkaException: the broker does not answer, or does not allow us to know.

    """
    group = _describe(client, group_id)
    found = [
        Member(
            client_id=member.client_id,
            host=member.host.removeprefix("/"),
            instance=member.group_instance_id,
            partitions=tuple(sorted((place.topic, place.partition) for place in member.assignment.topic_partitions)),
        )
        for member in (group.members if group else ())
    ]
    return sorted(found, key=lambda member: (member.client_id, member.host, member.partitions))


def require_no_members(client: AdminClient, group_id: str) -> None:
    """Refuse to go on while a consumer of the group runs.

    Raises:
        StateError: naming the number of members.
        KafkaException: the broker does not answer.

    """
    group = _describe(client, group_id)
    if group and group.members:
        raise StateError(
            f"group {group_id} is {group.state.name.lower()} with {counted(len(group.members), 'member')}: nothing was "
            "changed; stop every `projector run` first (the broker removes a killed one after its session timeout)"
        )


def _describe(client: AdminClient, group_id: str) -> ConsumerGroupDescription | None:
    """Return the group; None if there is none, which the broker says in two ways."""
    asked = client.describe_consumer_groups([group_id], request_timeout=PROBE_SECONDS)
    try:
        group: ConsumerGroupDescription = asked[group_id].result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return None
        raise
    return None if group.state == ConsumerGroupState.DEAD else group
