"""What a topic's configuration has to be, and what differs from it.

Refused, because events are lost silently:

- compaction. The key is the meter's id, which many invoices share: Kafka would keep only each meter's last message.

Warned of, because events are lost if something else fails as well:

- retention shorter than `RETENTION_MS`, or any limit in bytes: messages that are deleted before a consumer has read
  them stop it, and have to be published again. Seven days is Kafka's default and covers an outage that begins on a
  Friday of a holiday week. Retention counts from a message's timestamp, which its producer sets under `CreateTime`: old
  events published with old timestamps may be deleted at once.
- unclean leader election: a replica that lacks messages may become the leader, which truncates the log.

`projector init` sets all of these on the topics that it creates, independent of the broker's defaults.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource

from events.runtime.errors import StateError
from events.runtime.kafka import PROBE_SECONDS

RETENTION_MS: Final = 7 * 24 * 60 * 60 * 1000
DAY_MS: Final = 24 * 60 * 60 * 1000
CREATED_WITH: Final = {
    "cleanup.policy": "delete",
    "retention.ms": str(RETENTION_MS),
    "retention.bytes": "-1",
    "unclean.leader.election.enable": "false",
}
HIDDEN: Final = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One setting of a topic that the contract does not allow, or advises against."""

    topic: str
    refused: bool
    description: str

    def __str__(self) -> str:
        """Write one line."""
        return f"topic {self.topic}: {self.description}"


def read(client: AdminClient, topics: Iterable[str]) -> list[Problem]:
    """Read the topics' configuration from the broker, and return what is wrong with it.

    Raises:
        KafkaException: the broker does not answer.

    """
    problems: list[Problem] = []
    for topic, found in _configurations(client, topics):
        if found is None:
            description = "its configuration may not be read: grant DESCRIBE_CONFIGS on it, to have it checked"
            problems.append(Problem(topic=topic, refused=False, description=description))
        else:
            problems += compare(topic, found)
    return problems


def retention_seconds(client: AdminClient, topics: Iterable[str]) -> dict[str, float]:
    """Return after how many seconds a topic's messages may be deleted, infinite where age deletes none.

    Topics whose configuration may not be read are left out. Raises as `read` does.
    """
    kept = {topic: _number(found, "retention.ms") for topic, found in _configurations(client, topics) if found}
    return {topic: kept_ms / 1000 if kept_ms >= 0 else inf for topic, kept_ms in kept.items()}


def _configurations(client: AdminClient, topics: Iterable[str]) -> Iterator[tuple[str, dict[str, str] | None]]:
    """Yield each topic's settings; None where they may not be read."""
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    for resource, future in client.describe_configs(resources, request_timeout=PROBE_SECONDS).items():
        try:
            entries = future.result()
        except KafkaException as error:
            if error.args[0].code() not in HIDDEN:
                raise
            yield resource.name, None
        else:
            yield resource.name, {name: entry.value or "" for name, entry in entries.items()}


def compare(topic: str, found: Mapping[str, str]) -> list[Problem]:
    """Compare a topic's configuration with what the contract needs. Pure."""
    change = f"`kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config"
    problems: list[Problem] = []

    def add(description: str, *, refused: bool = False) -> None:
        problems.append(Problem(topic=topic, refused=refused, description=description))

    if "compact" in (policy := found.get("cleanup.policy", "")):
        add(
            f"it is compacted (cleanup.policy={policy}), which deletes all but the last event of each meter: {change} "
            "cleanup.policy=delete`, then publish the deleted events again",
            refused=True,
        )
    if 0 <= (kept_ms := _number(found, "retention.ms")) < RETENTION_MS:
        add(
            f"it keeps messages for {kept_ms / DAY_MS:g} days, less than the {RETENTION_MS // DAY_MS} that an outage "
            f"may last: {change} retention.ms={RETENTION_MS}`"
        )
    if (kept_bytes := _number(found, "retention.bytes")) >= 0:
        add(
            f"it keeps only {kept_bytes:,} bytes of each partition, so even new messages may be deleted: "
            f"{change} retention.bytes=-1`"
        )
    if found.get("unclean.leader.election.enable") == "true":
        add(
            "a replica that lacks messages may become its leader, which truncates the log: "
            f"{change} unclean.leader.election.enable=false`"
        )
    return problems


def require_sound(problems: Iterable[Problem]) -> list[str]:
    """Return the warnings.

    Raises:
        StateError: naming the first topic that would lose events.

    """
    warnings = []
    for problem in problems:
        if problem.refused:
            raise StateError(str(problem))
        warnings.append(str(problem))
    return warnings


def _number(found: Mapping[str, str], name: str) -> int:
    value = found.get(name, "")
    return int(value) if value.removeprefix("-").isdigit() else -1
