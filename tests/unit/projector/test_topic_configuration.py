"""What a topic's configuration may say, what is warned of, and what is refused."""

import pytest

from events.runtime.errors import StateError
from projector.kafka_log.topic_configuration import CREATED_WITH, compare, require_sound


@pytest.mark.parametrize(
    ("name", "value"),
    [("retention.ms", "-1"), ("retention.ms", "604800000"), ("cleanup.policy", ""), ("retention.bytes", "-1")],
)
def test_what_loses_nothing_is_fine(name: str, value: str) -> None:
    assert compare("t", {**CREATED_WITH, name: value}) == []


@pytest.mark.parametrize("policy", ["compact", "compact,delete", "delete,compact"])
def test_compaction_is_refused_with_what_to_type(policy: str) -> None:
    with pytest.raises(
        StateError, match=r"^topic t: it is compacted \(.*add-config cleanup.policy=delete`, then publish"
    ):
        require_sound(compare("t", {**CREATED_WITH, "cleanup.policy": policy}))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("retention.ms", "86400000", "for 1 days, less than the 7"),
        ("retention.ms", "604799999", "less than the 7"),
        ("retention.ms", "0", "for 0 days"),
        ("retention.bytes", "1000000", "1,000,000 bytes of each partition"),
        ("unclean.leader.election.enable", "true", "truncates the log"),
    ],
)
def test_what_may_lose_something_is_warned_of(name: str, value: str, said: str) -> None:
    [warning] = require_sound(compare("t", {**CREATED_WITH, name: value}))
    assert said in warning
    assert f"--entity-name t --add-config {name}=" in warning
