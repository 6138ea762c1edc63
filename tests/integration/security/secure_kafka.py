"""Apache Kafka with two guarded doors: SCRAM-SHA-512 over TLS, and TLS that asks the client for a certificate.

The third, in clear, is the broker's own, for what it says to itself.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from projector.sandbox.kafka import SETTINGS as SANDBOX_SETTINGS
from projector.sandbox.kafka import java_command
from projector.sandbox.ports import HOST, free_port
from projector.sandbox.processes import last_line, wait_until
from tests.integration.security.certificates import Authority, Identity

CLUSTER_ID: Final = "MkU3OEVBNTcwNTJENDM2Qg"
USER: Final = "billing-consumer"
START_SECONDS: Final = 120
SCRAM_MODULE: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
PROTOCOLS: Final = "CONTROLLER:PLAINTEXT,OWN:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL"
GUARDED: Final = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",  # the door in clear
}


class SecureKafka(NamedTuple):
    """Where the doors are."""

    scram: str
    mutual: str
    own: str


@contextmanager
def secure_kafka(
    home: Path, authority: Authority, server: Identity, password: str, *, guarded: bool = False
) -> Iterator[SecureKafka]:
    """Run the broker in a folder; it ends with whoever asked for it. Guarded, it lets a user do what it was granted."""
    ports = [free_port() for _ in range(4)]
    scram, mutual, own, controller = (f"{HOST}:{port}" for port in ports)
    properties, log = home / "server.properties", home / "kafka.log"
    listeners = f"SCRAM://{scram},MUTUAL://{mutual},OWN://{own}"
    settings = {
        **SANDBOX_SETTINGS,
        **(GUARDED if guarded else {}),
        "listeners": f"{listeners},CONTROLLER://{controller}",
        "advertised.listeners": listeners,
        "inter.broker.listener.name": "OWN",
        "listener.security.protocol.map": PROTOCOLS,
        "controller.quorum.bootstrap.servers": controller,
        "log.dirs": str(home / "data"),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server.together),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
        "listener.name.mutual.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": SCRAM_MODULE,
    }
    properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    java, _ = java_command(home)
    storage = ["kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c", str(properties)]
    user = ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={password}]"]
    subprocess.run([*java, *storage, *user], check=True, capture_output=True, timeout=START_SECONDS)
    with log.open("wb") as output:
        broker = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=output, stderr=output, cwd=home)
    try:
        client = AdminClient({"bootstrap.servers": own, "log_level": 0, "reconnect.backoff.max.ms": 100})
        assert wait_until(lambda: _answers(client, broker, log), seconds=START_SECONDS), last_line(log)
        yield SecureKafka(scram, mutual, own)
    finally:
        broker.kill()
        broker.wait()


def _answers(client: AdminClient, broker: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert broker.poll() is None, last_line(log)
    try:
        return bool(client.list_topics(timeout=1).brokers)
    except KafkaException:
        return False
