"""Servers of this suite's own, one set for all its runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import servers as servers_module
from tests.faults.fault_run import FaultRun
from tests.faults.plan import Plan, plan
from tests.faults.servers import Servers
from tests.support.programs import Programs


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with servers_module.started() as found:
        yield found


@pytest.fixture
def fault_run(servers: Servers, programs: Programs, tmp_path: Path) -> Iterator[FaultRun]:
    """Give one consumer and one auditor to a test that does its own harm."""
    drawn = Plan(**{**vars(plan(1)), "protocol": "cooperative-sticky", "consumers": 1, "faults": ()})
    made = FaultRun(drawn, servers, programs, tmp_path)
    yield made
    made.close()
