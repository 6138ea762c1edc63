"""A consumer that the group will never give a partition again ends with one line, and does not wait for ever."""

import pytest

from tests.e2e.test_stops import last_line
from tests.support.deployment import COOPERATIVE, EAGER, NEXT_GENERATION, QUICK, Deployment, ended, log, wait_for_exit

ID = {"PROJECTOR_KAFKA__GROUP_INSTANCE_ID": "one"}


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (COOPERATIVE, ("Inconsistent group protocol", "PROJECTOR_KAFKA__PARTITION_ASSIGNMENT_STRATEGY")),
        (
            {**QUICK, "PROJECTOR_KAFKA__SESSION_TIMEOUT_MS": "3599999"},
            ("Invalid session timeout", "PROJECTOR_KAFKA__SESSION_TIMEOUT_MS"),
        ),
    ],
    ids=["another assignor", "a timeout that the brokers do not allow"],
)
def test_one_that_cannot_join_ends_and_the_member_goes_on(
    deployment: Deployment, second: dict[str, str], said: tuple[str, ...]
) -> None:
    first = deployment.consumer(EAGER)
    refused = deployment.start({"PROJECTOR_KAFKA__MAX_POLL_INTERVAL_MS": "3600000", **second})
    assert wait_for_exit(refused) == 1
    assert last_line(log(refused), "projector: stopped: this consumer can do no more work", *said)
    assert not ended(first)


def test_a_member_whose_name_another_takes_ends(deployment: Deployment) -> None:
    first = deployment.consumer(EAGER | ID)
    second = deployment.consumer(EAGER | ID)
    assert wait_for_exit(first) == 1
    assert last_line(log(first), "projector: stopped: this consumer can do no more work", "fenced")
    assert not ended(second)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (ID, "instance ID is still used"),
        ({"PROJECTOR_KAFKA__GROUP_REMOTE_ASSIGNOR": "none-such"}, "assignor or its version range is not supported"),
    ],
    ids=["a name that is taken", "an assignor that the brokers lack"],
)
def test_one_that_the_next_protocol_refuses_ends(deployment: Deployment, second: dict[str, str], said: str) -> None:
    first = deployment.consumer(NEXT_GENERATION | ID)
    refused = deployment.start(NEXT_GENERATION | second)
    assert wait_for_exit(refused) == 1
    assert last_line(log(refused), "projector: stopped: this consumer can do no more work", said)
    assert not ended(first)
