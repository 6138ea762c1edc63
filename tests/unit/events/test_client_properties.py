"""Which of librdkafka's properties a deployment may set: not those that what is promised rests on."""

import pytest

from events.runtime import kafka
from events.runtime.client_properties import LOCKED_PROPERTIES
from events.runtime.errors import SettingError
from events.runtime.settings import Settings


def _config(name: str, value: str) -> dict[str, object]:
    variable = name.upper().replace(".", "_")
    given = Settings(_env_file=None, kafka_bootstrap_servers="127.0.0.1:1", group_id="ours", kafka={variable: value})
    return kafka.client_config(given)


@pytest.mark.parametrize("name", [*LOCKED_PROPERTIES, "group.id"])
def test_what_would_break_a_promise_is_refused_with_its_reason(name: str) -> None:
    variable = f"PROJECTOR_KAFKA__{name.upper().replace('.', '_')}"
    with pytest.raises(SettingError, match=rf"^{variable} (has to be|cannot be given).*: ."):
        _config(name, "7")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("isolation.level", "read_uncommitted"),
        ("enable.auto.commit", "TRUE"),
        ("enable.idempotence", "f"),
        ("acks", "1"),
        ("request.required.acks", "0"),
        ("partitioner", "random"),
        ("auto.offset.reset", "earliest"),
    ],
)
def test_whatever_its_spelling(name: str, value: str) -> None:
    with pytest.raises(SettingError):
        _config(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("isolation.level", "read_committed"),
        ("enable.auto.commit", "False"),
        ("acks", "-1"),
        ("group.id", "ours"),
        ("partitioner", "murmur2"),
        ("check.crcs", "true"),
        ("security.protocol", "ssl"),
        ("group.instance.id", "one"),
    ],
)
def test_the_same_value_and_whatever_breaks_nothing_may_be_given(name: str, value: str) -> None:
    assert _config(name, value)[name] == value
