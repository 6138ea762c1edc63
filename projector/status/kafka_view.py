"""What Kafka says of the group, asked on a thread with a time limit: a status must not wait long for it.

A service that does not answer, or a topic that does not exist, is part of the status. A wrong setting is not.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from events.contract.types import TopicPartition
from events.runtime import background
from events.runtime.errors import ServiceTemporarilyUnavailableError, ServiceUnavailableError, StateError
from events.runtime.kafka import translate_kafka_errors
from events.runtime.settings import Settings
from projector.kafka_log.broker import Broker
from projector.kafka_log.group import Member
from projector.kafka_log.partitions import PartitionLog

CONNECT_SECONDS: Final = 4.0  # for a first answer; somebody waits for the status
ANSWER_SECONDS: Final = 15.0  # for all answers, where a broker gives the first one and then hangs


@dataclass(frozen=True, kw_only=True)
class KafkaView:
    """What Kafka said.

    Args:
        cluster_id: of the cluster; None where it did not answer.
        logs: each partition's log; None where it did not answer.
        young_from: each partition's first message since the moment that was asked about, where there is one.
        members: of the group; None where it did not answer, or we may not know.
        topic_problems: what is wrong with the topics' configuration.
        failure: why something is missing.

    """

    cluster_id: str | None = None
    logs: Mapping[TopicPartition, PartitionLog] | None = None
    young_from: Mapping[TopicPartition, int] | None = None
    members: Sequence[Member] | None = None
    topic_problems: Sequence[str] = ()
    failure: ServiceUnavailableError | StateError | None = None


def ask(settings: Settings, since: datetime | None) -> Future[KafkaView]:
    """Start to ask, on a daemon thread that ends with the process if nobody answers.

    Args:
        settings: the program's.
        since: the moment of `young_from`; None if it is not needed.

    """
    return background.begin(lambda: _asked(settings, since), name="asking Kafka")


def awaited(answer: Future[KafkaView], settings: Settings) -> KafkaView:
    """Wait for the answer.

    Raises:
        SettingError: something is not set, or is wrong.

    """
    try:
        return answer.result(ANSWER_SECONDS)
    except TimeoutError:
        if answer.done():
            raise
        where = settings.kafka_bootstrap_servers
        message = f"Kafka at {where} cannot be reached: no answer within {ANSWER_SECONDS:g} s"
        return KafkaView(failure=ServiceTemporarilyUnavailableError(message))


def _asked(settings: Settings, since: datetime | None) -> KafkaView:
    """Ask one question after another; what was answered before a failure counts."""
    broker, view = Broker(settings, probe_seconds=CONNECT_SECONDS), KafkaView()
    try:
        with translate_kafka_errors(settings):
            view = replace(view, cluster_id=broker.cluster_id())
            view = replace(view, logs=broker.logs())
            if since is not None:
                milliseconds = int(since.timestamp() * 1000)
                view = replace(view, young_from=broker.first_since(view.logs or (), milliseconds))
            view = replace(view, topic_problems=[str(problem) for problem in broker.problems()])
            return _with_members(view, broker)
    except (ServiceUnavailableError, StateError) as failure:
        return replace(view, failure=failure)


def _with_members(view: KafkaView, broker: Broker) -> KafkaView:
    try:
        return replace(view, members=broker.members())
    except KafkaException as error:
        if error.args[0].code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise
        return view
