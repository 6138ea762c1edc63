"""A right that the brokers take away, or never gave, ends a program with one line; it does not look alive."""

from collections.abc import Iterator
from typing import Final

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from projector.sandbox.ports import HOST
from tests.conftest import RunCommand, StartCommand, WaitUntil
from tests.e2e.test_stops import last_line
from tests.integration.security.certificates import Authority
from tests.integration.security.secure_kafka import USER, SecureKafka, secure_kafka
from tests.support.deployment import log, records
from tests.support.secret_canaries import secret

WILDCARD: Final = "*"
READS: Final = (
    (ResourceType.TOPIC, AclOperation.READ),
    (ResourceType.TOPIC, AclOperation.DESCRIBE_CONFIGS),
    (ResourceType.TOPIC, AclOperation.CREATE),
    (ResourceType.GROUP, AclOperation.READ),
)


@pytest.fixture(scope="module")
def password() -> str:
    return secret()


@pytest.fixture(scope="module")
def broker(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, password: str
) -> Iterator[tuple[SecureKafka, dict[str, str]]]:
    with secure_kafka(
        tmp_path_factory.mktemp("kafka"), authority, authority.identity(HOST), password, guarded=True
    ) as kafka:
        yield (
            kafka,
            {
                "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": kafka.scram,
                "PROJECTOR_KAFKA__SSL_CA_LOCATION": str(authority.certificate),
                "PROJECTOR_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
                "PROJECTOR_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
                "PROJECTOR_KAFKA__SASL_USERNAME": USER,
                "PROJECTOR_KAFKA__SASL_PASSWORD": password,
                "PROJECTOR_LOG_FORMAT": "json",
            },
        )


@pytest.mark.parametrize("taken", [ResourceType.TOPIC, ResourceType.GROUP], ids=["topic", "group"])
def test_a_right_that_is_taken_away_ends_the_consumer(  # noqa: PLR0913, PLR0917 - fixtures
    broker: tuple[SecureKafka, dict[str, str]],
    environment: dict[str, str],
    run_command: RunCommand,
    start_command: StartCommand,
    wait_until: WaitUntil,
    taken: ResourceType,
) -> None:
    kafka, door = broker
    admin = AdminClient({"bootstrap.servers": kafka.own})
    env = {**environment, **door}
    _grant(admin)
    created = run_command("projector", "init", env=env)
    assert created.exit_code == 0, created.stderr
    consumer = start_command("projector", "run", env=env)
    wait_until(lambda: records(consumer, "joined"), what="the consumer to join")
    _take(admin, taken, AclOperation.READ)
    assert consumer.process.wait(120) == 2, log(consumer)
    assert last_line(log(consumer), "projector: Kafka at", "refuses", "authorization failed")


def test_a_status_that_may_not_know_the_group_shows_everything_else(
    broker: tuple[SecureKafka, dict[str, str]], environment: dict[str, str], run_command: RunCommand
) -> None:
    kafka, door = broker
    admin = AdminClient({"bootstrap.servers": kafka.own})
    env = {**environment, **door}
    _grant(admin)
    assert run_command("projector", "init", env=env).exit_code == 0
    allowed = run_command("projector", "status", env=env)
    assert (allowed.exit_code, "no consumer is running" in allowed.stdout) == (0, True), allowed
    _take(admin, ResourceType.GROUP, AclOperation.READ)
    hidden = run_command("projector", "status", "--max-lag", "0", env=env)
    assert hidden.exit_code == 0, hidden.stderr
    assert "Consumers: unknown to us: grant DESCRIBE on the group" in hidden.stdout
    assert "Lag: 0 messages" in hidden.stdout


def test_a_producer_that_may_not_write_ends_with_one_line(
    broker: tuple[SecureKafka, dict[str, str]], environment: dict[str, str], run_command: RunCommand
) -> None:
    """Some are refused by the topic, some are not given an id to be idempotent by, which is fatal to the client."""
    kafka, door = broker
    admin = AdminClient({"bootstrap.servers": kafka.own})
    env = {**environment, **door}
    _grant(admin)
    assert run_command("projector", "init", env=env).exit_code == 0
    lines = run_command("events", "simulate", "--customers", "5", env=env).stdout
    result = run_command("events", "publish", "-", env=env, stdin=lines)
    assert result.exit_code == 2
    assert last_line(result.stderr, "events: Kafka at", "did not take a message")
    assert "uthoriz" in result.stderr


def _grant(admin: AdminClient) -> None:
    bindings = [
        AclBinding(kind, WILDCARD, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, AclPermissionType.ALLOW)
        for kind, operation in READS
    ]
    for future in admin.create_acls(bindings).values():
        future.result()


def _take(admin: AdminClient, kind: ResourceType, operation: AclOperation) -> None:
    pattern = (kind, WILDCARD, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, AclPermissionType.ALLOW)
    for future in admin.delete_acls([AclBindingFilter(*pattern)]).values():
        assert future.result()
