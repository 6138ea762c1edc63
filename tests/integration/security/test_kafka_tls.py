"""TLS and SASL to Kafka: the broker proves who it is, we prove who we are, and what fails is one line at once."""

from collections.abc import Iterator
from time import monotonic
from typing import Final, NamedTuple

import pytest

from projector.sandbox.ports import HOST
from tests.conftest import RunCommand
from tests.integration.security.certificates import Authority
from tests.integration.security.secure_kafka import USER, secure_kafka
from tests.support.deployment import one_line
from tests.support.machine_load import busy
from tests.support.secret_canaries import secret

OTHER_COMMANDS: Final = ("projector init", "projector status", "projector positions show", "events publish -")
QUICK_SECONDS: Final = 8.0  # the probe of a broker that is merely away takes ten
REFUSALS: Final = {
    "wrong password": ("refuses us", "invalid credentials with SASL mechanism SCRAM-SHA-512"),
    "wrong user": ("refuses us", "invalid credentials with SASL mechanism SCRAM-SHA-512"),
    "wrong mechanism": ("refuses us", "broker's supported mechanisms: SCRAM-SHA-512"),
    "wrong authority": ("cannot be reached securely", "certificate verify failed"),
    "wrong name": ("cannot be reached securely", "certificate verify failed"),
    "no client certificate": ("cannot be reached securely", "alert bad certificate"),
    "foreign client certificate": ("cannot be reached securely", "alert bad certificate"),
    "a door in clear": ("cannot be reached securely", "SSL connection closed by peer"),
}


class Doors(NamedTuple):
    """What opens a broker's doors, and what does not."""

    scram: dict[str, str]
    mutual: dict[str, str]
    wrong: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, authority: Authority, stranger: Authority) -> Iterator[Doors]:
    home, password = tmp_path_factory.mktemp("kafka"), secret()
    ours, theirs = authority.identity("consumer"), stranger.identity("consumer")
    with secure_kafka(home, authority, authority.identity(HOST), password) as kafka:
        trusting = {"SSL_CA_LOCATION": str(authority.certificate)}
        user = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "SCRAM-SHA-512", "SASL_USERNAME": USER}
        scram = _door(kafka.scram, **trusting, **user, SASL_PASSWORD=password)
        bare = _door(kafka.mutual, **trusting, SECURITY_PROTOCOL="SSL")
        mutual = {**bare, **_kafka(SSL_CERTIFICATE_LOCATION=str(ours.certificate), SSL_KEY_LOCATION=str(ours.key))}
        wrong = {
            "wrong password": {**scram, **_kafka(SASL_PASSWORD=secret())},
            "wrong user": {**scram, **_kafka(SASL_USERNAME="somebody-else")},
            "wrong mechanism": {**scram, **_kafka(SASL_MECHANISM="PLAIN")},
            "wrong authority": {**scram, **_kafka(SSL_CA_LOCATION=str(stranger.certificate))},
            "wrong name": {**scram, "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": kafka.scram.replace(HOST, "localhost")},
            "no client certificate": bare,
            "foreign client certificate": {
                **bare, **_kafka(SSL_CERTIFICATE_LOCATION=str(theirs.certificate), SSL_KEY_LOCATION=str(theirs.key)),
            },
            "a door in clear": {**bare, "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": kafka.own},
        }  # fmt: skip
        yield Doors(scram, mutual, wrong)


@pytest.mark.parametrize("door", ["scram", "mutual"])
def test_events_go_from_end_to_end_through_a_guarded_door(
    doors: Doors, environment: dict[str, str], run_command: RunCommand, door: str
) -> None:
    env = {**environment, **getattr(doors, door)}
    lines = run_command("events", "simulate", "--customers", "50", env=env).stdout
    for command in ("projector init", "events publish -", "projector run --until-caught-up", "projector status"):
        result = run_command(*command.split(), env=env, stdin=lines)
        assert result.exit_code == 0, (command, result.stderr)
    assert "Lag: 0 messages" in result.stdout


@pytest.mark.parametrize(
    ("command", "what"),
    [*(("projector run", what) for what in REFUSALS), *((command, "wrong password") for command in OTHER_COMMANDS)],
)
def test_what_is_wrong_is_one_line_at_once(
    doors: Doors, environment: dict[str, str], run_command: RunCommand, command: str, what: str
) -> None:
    began = monotonic()
    result = run_command(*command.split(), env={**environment, **doors.wrong[what]})
    assert one_line(result, 2, "Kafka at ", *REFUSALS[what])
    assert result.stdout == "" or command == "projector status"  # which prints what PostgreSQL knows
    assert monotonic() - began < QUICK_SECONDS * busy()


@pytest.mark.parametrize("file", ["SSL_CA_LOCATION", "SSL_CERTIFICATE_LOCATION", "SSL_KEY_LOCATION"])
def test_a_file_that_is_not_there_is_one_line_that_names_the_setting(
    doors: Doors, environment: dict[str, str], run_command: RunCommand, file: str
) -> None:
    env = {**environment, **doors.mutual, f"PROJECTOR_KAFKA__{file}": "/nowhere"}
    property_name = file.lower().replace("_", ".")
    assert one_line(run_command("projector", "init", env=env), 2, "PROJECTOR_KAFKA__", property_name)


def _door(servers: str, **properties: str) -> dict[str, str]:
    return {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": servers, **_kafka(**properties)}


def _kafka(**properties: str) -> dict[str, str]:
    return {f"PROJECTOR_KAFKA__{name}": value for name, value in properties.items()}
