"""Topics are created as the contract needs them, and compared with it by `init`, `run` and `status`."""

import json

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from events.contract.types import ENTITIES, topic_of
from events.runtime import kafka
from events.runtime.settings import Settings
from projector.kafka_log import topic_configuration
from projector.kafka_log.broker import Broker
from tests.conftest import RunCommand, WaitUntil
from tests.support.deployment import one_line


def test_a_compacted_topic_is_refused_and_short_retention_is_warned_of(
    kafka_settings: Settings, kafka_environment: dict[str, str], run_command: RunCommand, wait_until: WaitUntil
) -> None:
    client = kafka.admin(kafka_settings)
    topics = [topic_of(entity, kafka_settings.topic_prefix) for entity in ENTITIES]
    assert Broker(kafka_settings).problems() == []
    _configure(client, topics[1], "retention.ms", "3600000")
    wait_until(lambda: len(topic_configuration.read(client, topics)) == 1, what="the retention")
    created = run_command("projector", "init", "--format", "json", env=kafka_environment)
    assert created.exit_code == 0, created.stderr
    [warning] = json.loads(created.stdout)["warnings"]
    assert topics[1] in warning
    ran = run_command("projector", "run", "--until-caught-up", env=kafka_environment)
    assert ran.exit_code == 0, ran.stderr
    assert "less than the 7 that an outage may last" in ran.stderr

    _configure(client, topics[0], "cleanup.policy", "compact")
    wait_until(lambda: len(topic_configuration.read(client, topics)) == 2, what="the cleanup policy")
    for command in ("run", "init"):
        refused = run_command("projector", command, env=kafka_environment)
        assert one_line(refused, 2, f"topic {topics[0]}: it is compacted", "cleanup.policy=delete")
    status = run_command("projector", "status", "--json", env=kafka_environment)
    assert status.exit_code == 0, status.stderr
    assert len(json.loads(status.stdout)["topic_problems"]) == 2
    assert f"topic {topics[0]}" in run_command("projector", "status", env=kafka_environment).stdout


def _configure(client: AdminClient, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    for future in client.incremental_alter_configs([resource]).values():
        future.result()
