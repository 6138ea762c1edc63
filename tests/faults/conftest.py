"""Servers of this suite's own, one set for all its runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import servers as servers_module
from tests.faults.fault_run import Scene
from tests.faults.fork_server import Nursery
from tests.faults.plan import Plan, plan
from tests.faults.servers import Servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with servers_module.started() as found:
        yield found


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def scene(servers: Servers, nursery: Nursery, tmp_path: Path) -> Iterator[Scene]:
    """Give one consumer and one auditor to a test that does its own harm."""
    drawn = Plan(**{**vars(plan(1)), "protocol": "cooperative-sticky", "consumers": 1, "faults": ()})
    made = Scene(drawn, servers, nursery, tmp_path)
    yield made
    made.close()
