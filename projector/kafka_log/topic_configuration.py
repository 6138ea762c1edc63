"""What the contract needs of a topic's configuration, and what differs from it.

Refused, because events are lost in silence:

- compaction. The key is the meter's id, and many invoices share it: Kafka would keep the last message of each meter.

Warned of, because events are lost when something else goes wrong:

- retention shorter than `RETENTION_MS`, in time, or any limit in bytes: messages that are deleted before a consumer has
  read them stop it, and have to be published again. Seven days is Kafka's own default and covers an outage that begins
  on a Friday of a holiday week. Retention counts from a message's timestamp, which its producer chooses under
  `CreateTime`: old events published under old timestamps may be deleted at once.
- unclean leader election: a replica that lacks messages may become the leader, and the log is cut.

`projector init` creates topics that say all this themselves, whatever the broker's defaults are or become.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    """One thing about a topic that the contract does not allow, or advises against."""

    topic: str
    refused: bool
    says: str

    def __str__(self) -> str:
        """Write it as one line."""
        return f"topic {self.topic}: {self.says}"


def read(client: AdminClient, topics: Iterable[str]) -> list[Problem]:
    """Ask the broker for the topics' configuration, and return what is wrong with it.

    Raises:
        KafkaException: the broker does not answer.

    """
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    problems: list[Problem] = []
    for resource, future in client.describe_configs(resources, request_timeout=PROBE_SECONDS).items():
        try:
            entries = future.result()
        except KafkaException as error:
            if error.args[0].code() not in HIDDEN:
                raise
            says = "its configuration may not be read: grant DESCRIBE_CONFIGS on it, so that compaction is noticed"
            problems.append(Problem(topic=resource.name, refused=False, says=says))
        else:
            problems += compare(resource.name, {name: entry.value or "" for name, entry in entries.items()})
    return problems


def compare(topic: str, found: Mapping[str, str]) -> list[Problem]:
    """Hold a topic's configuration against what the contract needs. Pure."""
    change = f"`kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config"
    problems: list[Problem] = []

    def add(says: str, *, refused: bool = False) -> None:
        problems.append(Problem(topic=topic, refused=refused, says=says))

    if "compact" in (policy := found.get("cleanup.policy", "")):
        add(
            f"it is compacted (cleanup.policy={policy}), which deletes all but the last event of each meter: {change} "
            "cleanup.policy=delete`, then publish again what it has deleted",
            refused=True,
        )
    if 0 <= (kept_ms := _number(found, "retention.ms")) < RETENTION_MS:
        add(
            f"it keeps messages for {kept_ms / DAY_MS:g} days, less than the {RETENTION_MS // DAY_MS} that an outage "
            f"may last: {change} retention.ms={RETENTION_MS}`"
        )
    if (kept_bytes := _number(found, "retention.bytes")) >= 0:
        add(f"it keeps {kept_bytes:,} bytes a partition, however new the rest is: {change} retention.bytes=-1`")
    if found.get("unclean.leader.election.enable") == "true":
        add(
            "a replica that lacks messages may become its leader, which cuts the log: "
            f"{change} unclean.leader.election.enable=false`"
        )
    return problems


def require_sound(problems: Iterable[Problem]) -> list[str]:
    """Return the warnings.

    Raises:
        StateError: naming the first topic that events would be lost of.

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
