"""Properties of librdkafka that a deployment cannot change, because correctness depends on them.

The list was made from librdkafka's CONFIGURATION.md; other properties affect speed, memory, names or security, and are
the deployment's to choose.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from events.runtime.errors import SettingError


class LockedProperty(NamedTuple):
    """The values that a property may have, none if it may not be set at all; and the reason."""

    values: tuple[str, ...]
    why: str


TRUE: Final = ("true", "t", "1")
FALSE: Final = ("false", "f", "0")
_SERVERS: Final = "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS names the brokers"
_POSITIONS: Final = "positions are kept in PostgreSQL, in the transaction of what was applied"
_DELIVERED: Final = "a message counts as published when every in-sync replica has it, once and in order"
_PROTOCOL: Final = "older protocols have neither leader epochs nor committed reads"
_NO_TEXT: Final = "the client takes an object, not text"

LOCKED_PROPERTIES: Final[dict[str, LockedProperty]] = {
    # The brokers.
    "bootstrap.servers": LockedProperty((), _SERVERS),
    "metadata.broker.list": LockedProperty((), _SERVERS),
    "test.mock.num.brokers": LockedProperty(("0",), "a simulated broker forgets everything"),
    "test.mock.broker.rtt": LockedProperty(("0",), "a simulated broker forgets everything"),
    # The protocol.
    "api.version.request": LockedProperty(TRUE, _PROTOCOL),
    "api.version.fallback.ms": LockedProperty(("0",), _PROTOCOL),
    "broker.version.fallback": LockedProperty((), _PROTOCOL),
    # Code that is loaded.
    "plugin.library.paths": LockedProperty(
        (), "an interceptor may change every message; see also events.runtime.env_file"
    ),
    "logger": LockedProperty((), _NO_TEXT),
    "default.topic.config": LockedProperty((), _NO_TEXT),
    # Which messages are read.
    "isolation.level": LockedProperty(("read_committed",), "what a producer has aborted was never billed or paid"),
    "topic.blacklist": LockedProperty((), "an excluded topic is never applied"),
    "allow.auto.create.topics": LockedProperty(
        FALSE, "`projector init` creates topics, configured as the contract needs"
    ),
    # Where reading starts and ends.
    "auto.offset.reset": LockedProperty(("error",), "a position that cannot be served is never reset silently"),
    "enable.partition.eof": LockedProperty(
        TRUE, "the end of the log is needed to move a position past transaction markers"
    ),
    # Who owns the positions.
    "enable.auto.commit": LockedProperty(FALSE, _POSITIONS),
    "auto.commit.enable": LockedProperty(FALSE, _POSITIONS),
    "enable.auto.offset.store": LockedProperty(FALSE, _POSITIONS),
    "offset.store.method": LockedProperty(("broker",), _POSITIONS),
    "offset.store.path": LockedProperty((), _POSITIONS),
    "offset.store.sync.interval.ms": LockedProperty((), _POSITIONS),
    "group.protocol.type": LockedProperty(("consumer",), "the group's members are consumers"),
    # What is published.
    "enable.idempotence": LockedProperty(TRUE, _DELIVERED),
    "acks": LockedProperty(("all", "-1"), _DELIVERED),
    "request.required.acks": LockedProperty(("all", "-1"), _DELIVERED),
    "transactional.id": LockedProperty((), "`events publish` uses no transactions"),
    "partitioner": LockedProperty(
        ("consistent", "consistent_random", "murmur2", "murmur2_random", "fnv1a", "fnv1a_random"),
        "all events of a meter have to be in one partition",
    ),
}
"""Each property, the values it may have, and the reason."""


def require_allowed(given: Mapping[str, str], group_id: str) -> None:
    """Refuse a property whose value would break correctness.

    Raises:
        SettingError: naming the variable.

    """
    group = {"group.id": LockedProperty((group_id,), "the group owns the positions: PROJECTOR_GROUP_ID names it")}
    for name, value in given.items():
        owned = (LOCKED_PROPERTIES | group).get(name)
        if owned is not None and value.strip().lower() not in {allowed.lower() for allowed in owned.values}:
            has_to = f"has to be {owned.values[0]}" if owned.values else "cannot be given"
            raise SettingError(f"PROJECTOR_KAFKA__{name.upper().replace('.', '_')} {has_to}: {owned.why}")
