"""What several of these tests need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.alert_chain import chain
from tests.operations.watched import Watched
from tests.support.deployment import Deployment


@pytest.fixture
def watched(deployment: Deployment, tmp_path: Path) -> Iterator[Watched]:
    """Give a deployment of the test's own; its services are not started."""
    made = Watched(deployment)
    with chain(tmp_path, made.targets) as made.chain:
        yield made
