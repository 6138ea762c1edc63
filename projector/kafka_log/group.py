"""The consumer group as the broker knows it."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from events.runtime.errors import StateError
from events.runtime.kafka import PROBE_SECONDS


def require_no_members(client: AdminClient, group_id: str) -> None:
    """Refuse to go on while a consumer of the group runs.

    Raises:
        StateError: naming the number of members.
        KafkaException: the broker does not answer.

    """
    try:
        group = client.describe_consumer_groups([group_id], request_timeout=PROBE_SECONDS)[group_id].result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return
        raise
    if group.members:
        raise StateError(
            f"group {group_id} is {group.state.name.lower()} with {len(group.members)} members: nothing was changed; "
            "stop every `projector run` first (the broker removes a killed one after its session timeout)"
        )
